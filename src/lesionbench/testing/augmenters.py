"""What augmenters and their samplers promise."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from io import BytesIO
from pathlib import Path
from shutil import copytree
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from lesionbench.pipeline.augmenter import AugmenterInParts, FittedPart, Saveable, StackableAugmenter, Transformer
from lesionbench.testing.fixtures import KeptFolder, a_context, kept_for_other_checks, quick, tiny_images, writable
from lesionbench.testing.pickles import pickles_in
from lesionbench.testing.reports import require_sound_reports
from lesionbench.testing.require import Skipped, require
from lesionbench.testing.resuming import killed_and_resumed
from lesionbench.testing.watching import Traces, WatchedFit, global_state_left_alone, watch_fit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lesionbench.pipeline.augmenter import Augmenter, Sampler
    from lesionbench.pipeline.context import RunContext
    from lesionbench.pipeline.images import Images

FEW, SOME, MANY = 5, 12, 70  # doses: below the usual batch sizes, and across 64
SEED, OTHER_SEED = 11, 12


@contextmanager
def fitted(plugin_class: type[Augmenter]) -> Iterator[Sampler]:
    """A newly fitted sampler; its folder exists until the block ends."""
    with TemporaryDirectory() as folder:
        yield quick(plugin_class).fit(writable(tiny_images()), a_context(Path(folder), 1))


@kept_for_other_checks(maxsize=1)
def watched(plugin_class: type[Augmenter]) -> WatchedFit:
    """One fit, watched for every side effect; each check looks at one of them."""
    return watch_fit(quick(plugin_class), writable(tiny_images()))


@kept_for_other_checks(maxsize=1)
def traces_of_use(plugin_class: type[Augmenter]) -> Traces:
    """What the watched fit, and then sampling and transforming, printed and wrote."""
    fit = watched(plugin_class)
    with fit.traces.kept():
        use(plugin_class, fit.fitted)
    return fit.traces


@dataclass
class SharedSampler:
    """A fitted sampler for all checks that only draw from it; fitting a GAN takes a second."""

    plugin: Augmenter  # the settings that were fitted
    sampler: Sampler
    folder: KeptFolder  # of the fit; it exists as long as this object does

    @cached_property
    def first_draws(self) -> list[Images]:
        """Its very first samples: uint8 (FEW, 32, 32, C) of classes 0 and 1."""
        return first_draws(self.sampler)


@kept_for_other_checks(maxsize=2)
def shared(plugin_class: type[Augmenter], classes: int = 2, channels: int = 3) -> SharedSampler:
    """A fit whose sampler all checks may draw from, after its first draws were kept."""
    plugin, folder = quick(plugin_class), KeptFolder()
    sampler = plugin.fit(writable(tiny_images(classes, channels)), a_context(folder.path, 1))
    return SharedSampler(plugin, sampler, folder)


def first_draws(sampler: Sampler) -> list[Images]:
    """A small dose of each of two classes."""
    return [sampler.sample(label, FEW, SEED) for label in (0, 1)]


def fitted_in_parts(
    plugin: AugmenterInParts,
    folder: Path,
    run: Callable[[Callable[[RunContext], FittedPart], RunContext], FittedPart] = lambda fit, context: fit(context),
) -> Sampler:
    """The sampler of parts that were fitted as in a run: by themselves, in another order, and kept as files.

    run: calls a fit with a context.
    """
    images = writable(tiny_images())
    parts = range(len(plugin.parts(images.classes)))
    last_first = [run(partial(plugin.fit_part, part, images), a_context(folder / f"{part}", 1)) for part in parts[::-1]]
    whole = a_context(folder / "whole", 1)
    for part in parts:
        copytree(folder / f"{part}", whole.folder, dirs_exist_ok=True)
    return plugin.join([_read_again(part) for part in last_first[::-1]], images, whole)


def _read_again(part: FittedPart) -> FittedPart:
    """What a part has learned, after it was written to files and read."""
    arrays = {}
    for name, array in part.arrays.items():
        file = BytesIO()
        np.save(file, array, allow_pickle=False)
        file.seek(0)
        arrays[name] = np.load(file)
    return FittedPart(arrays, json.loads(json.dumps(part.values)))


def in_parts(plugin_class: type[Augmenter]) -> AugmenterInParts:
    """The plugin with two steps; raises Skipped for an augmenter whose fit is in one piece."""
    plugin = quick(plugin_class)
    if not isinstance(plugin, AugmenterInParts):
        raise Skipped("its fit has no parts")
    return plugin


def stackable(plugin_class: type[Augmenter]) -> StackableAugmenter:
    """The plugin with two steps; raises Skipped for an augmenter that cannot train its parts together."""
    plugin = quick(plugin_class)
    if not isinstance(plugin, StackableAugmenter):
        raise Skipped("its parts are not trained together")
    return plugin


def drawing(plugin_class: type[Augmenter]) -> Sampler:
    """A fitted sampler; raises Skipped for an augmenter that makes no images."""
    return drawn_from(plugin_class).sampler


def drawn_from(plugin_class: type[Augmenter]) -> SharedSampler:
    """The shared sampler after its first draws; raises Skipped for an augmenter that makes no images."""
    needs_samples(plugin_class)
    found = shared(plugin_class)
    assert found.first_draws  # drawn here, before any check draws
    return found


def transforming(plugin_class: type[Augmenter]) -> Transformer:
    """A fitted sampler that can transform; raises Skipped if it cannot."""
    sampler = shared(plugin_class).sampler
    if not isinstance(sampler, Transformer):
        raise Skipped("its sampler has no transform")
    return sampler


def needs_samples(plugin_class: type[Augmenter]) -> None:
    """Raise Skipped for an augmenter that declares `makes_images = False`."""
    if not plugin_class.makes_images:
        raise Skipped("it makes no images")


def use(plugin_class: type[Augmenter], sampler: Sampler) -> None:
    """Sample and transform once."""
    if plugin_class.makes_images:
        first_draws(sampler)
    if isinstance(sampler, Transformer):
        sampler.transform(tiny_images().images.copy(), SEED)


def same(one: Images, other: Images) -> bool:
    """Whether two arrays have the same shape and values."""
    return bool(np.array_equal(one, other))


def check_fit_leaves_the_training_images_alone(plugin_class: type[Augmenter]) -> None:
    """Fitting edits no array of the training images, and works on read-only ones, as in every experiment."""
    edited = watched(plugin_class).edited
    require(not edited, f"fit must leave the training images alone, but it edited {edited}; work on a copy")
    with TemporaryDirectory() as folder:
        quick(plugin_class).fit(tiny_images(), a_context(Path(folder)))


def check_fit_returns_a_new_sampler(plugin_class: type[Augmenter]) -> None:
    """Two fits of one plugin give two samplers, and the first still draws what it did after the second."""
    fit = drawn_from(plugin_class)
    first = fit.sampler
    before = first.sample(0, FEW, SEED)
    with TemporaryDirectory() as folder:
        second = fit.plugin.fit(writable(tiny_images(seed=1)), a_context(Path(folder), 2))
        require(first is not second, "fit must return a new sampler each time, but it returned one object twice")
        kept = same(before, first.sample(0, FEW, SEED))
        require(kept, "a second fit must leave the first sampler alone, but it draws other images; share no arrays")


def check_fit_leaves_the_settings_alone(plugin_class: type[Augmenter]) -> None:
    """What a fit learns is stored in the sampler, never in the settings."""
    watched(plugin_class).require_settings_unchanged("sampler")


def check_fit_with_the_same_seed_gives_the_same_samples(plugin_class: type[Augmenter]) -> None:
    """Two fits on the same images with the same seed draw the same images."""
    first = drawn_from(plugin_class).first_draws
    with fitted(plugin_class) as sampler:
        second = first_draws(sampler)
    require(
        all(map(same, first, second)),
        "two fits with one context.seed must draw the same images, but did not; seed all from it",
    )


def check_a_killed_fit_goes_on_to_the_same_samples(plugin_class: type[Augmenter]) -> None:
    """A fit that is killed when it has saved its state goes on from there and draws the same images."""
    fit = drawn_from(plugin_class)
    with TemporaryDirectory() as folder:
        if isinstance(fit.plugin, AugmenterInParts):
            sampler = fitted_in_parts(fit.plugin, Path(folder), killed_and_resumed)
        else:
            context = a_context(Path(folder), 1)
            sampler = killed_and_resumed(lambda given: fit.plugin.fit(writable(tiny_images()), given), context)
        require(
            all(map(same, fit.first_draws, first_draws(sampler))),
            "a fit that goes on from context.checkpoint must draw the same images, but did not; save all of its state",
        )


def check_its_parts_have_names(plugin_class: type[Augmenter]) -> None:
    """A fit in parts has at least one, and no two of them have the same name: people see the names."""
    names = in_parts(plugin_class).parts(("benign", "malignant", "unclear"))
    right = bool(names) and all(isinstance(name, str) and name for name in names) and len({*names}) == len(names)
    require(right, f"parts must give each part a name of its own, but gave {names!r}")


def check_parts_fitted_apart_draw_the_same_images(plugin_class: type[Augmenter]) -> None:
    """Parts that are fitted by themselves, in any order, kept as files and joined draw what a whole fit draws."""
    plugin = in_parts(plugin_class)
    with TemporaryDirectory() as folder:
        draws = first_draws(fitted_in_parts(plugin, Path(folder)))
    require(
        all(map(same, drawn_from(plugin_class).first_draws, draws)),
        "parts that are fitted apart must draw the images of a whole fit, but did not; let no part depend on another",
    )


def check_parts_write_files_of_their_own(plugin_class: type[Augmenter]) -> None:
    """No two parts of a fit write files of the same name: all end in one folder."""
    plugin = in_parts(plugin_class)
    with TemporaryDirectory() as folder:
        fitted_in_parts(plugin, Path(folder))
        written = [path.relative_to(folder) for path in Path(folder).rglob("*") if path.is_file()]
    names = Counter(Path(*path.parts[1:]).as_posix() for path in written if path.parts[0] != "whole")
    twice = sorted(name for name, number in names.items() if number > 1)
    require(not twice, f"every part must write files of its own, but {', '.join(twice)} is of several; name the part")


def check_a_stacked_fit_learns_what_its_parts_learn(plugin_class: type[Augmenter]) -> None:
    """Each part of a stacked fit has the arrays and the files of that part alone, and is like no other part."""
    plugin, images = stackable(plugin_class), writable(tiny_images())
    with TemporaryDirectory() as folder:
        together, alone = a_context(Path(folder) / "together", 1), a_context(Path(folder) / "alone", 1)
        stacked = plugin.fit_stacked(images, together)
        parts = [plugin.fit_part(part, images, alone) for part in range(len(plugin.parts(images.classes)))]
        files = [{path.name for path in context.folder.iterdir()} for context in (together, alone)]
    require(
        [_form(part) for part in stacked] == [_form(part) for part in parts],
        "fit_stacked must return a FittedPart for each part, with arrays of the same names, shapes and types, but did "
        "not; return what fit_part returns",
    )
    for number, (part, own) in enumerate(zip(stacked, parts, strict=True)):
        others = [_distance(part, other) for other in parts[:number] + parts[number + 1 :]]
        require(
            2 * _distance(part, own) <= min(others, default=np.inf),
            "a part must learn in a stack what it learns alone, but did not; give it the same batches, random numbers "
            "and initial weights",
        )
    require(files[0] == files[1], f"fit_stacked must write the files of all parts, {files[1]}, but wrote {files[0]}")


def _form(part: FittedPart) -> dict[str, tuple[tuple[int, ...], str]]:
    return {name: (array.shape, str(array.dtype)) for name, array in part.arrays.items()}


def _distance(one: FittedPart, other: FittedPart) -> float:
    """The sum of all differences between two parts that have the same arrays."""
    pairs = [(array.astype(float), other.arrays[name].astype(float)) for name, array in one.arrays.items()]
    return sum(float(np.abs(a - b).sum()) for a, b in pairs)


def check_a_killed_stacked_fit_goes_on_to_the_same(plugin_class: type[Augmenter]) -> None:
    """A stacked fit that is killed when it has saved its state goes on from there and learns the same."""
    plugin = stackable(plugin_class)
    with TemporaryDirectory() as folder:
        whole, killed = a_context(Path(folder) / "whole", 1), a_context(Path(folder) / "killed", 1)
        parts = plugin.fit_stacked(writable(tiny_images()), whole)
        resumed = killed_and_resumed(lambda given: plugin.fit_stacked(writable(tiny_images()), given), killed)
    pairs = zip(parts, resumed, strict=True)
    require(
        all(same(part.arrays[name], again.arrays[name]) for part, again in pairs for name in part.arrays),
        "a stacked fit that goes on from context.checkpoint must learn the same, but did not; save all of its state",
    )


def check_samples_look_like_training_images(plugin_class: type[Augmenter]) -> None:
    """Samples are uint8 (count, H, W, C) in 0..255, with one channel and with three, of two classes and of three."""
    needs_samples(plugin_class)
    for classes, channels in ((2, 3), (3, 1)):
        sampler = drawing(plugin_class) if classes == 2 else shared(plugin_class, classes, channels).sampler
        for label in range(classes):
            _require_images(sampler.sample(label, FEW, SEED), (FEW, 32, 32, channels))


def _require_images(images: Images, shape: tuple[int, ...]) -> None:
    found = f"{images.dtype} {images.shape}" if isinstance(images, np.ndarray) else type(images).__name__
    right = isinstance(images, np.ndarray) and images.dtype == np.uint8 and images.shape == shape
    require(right, f"samples must be uint8 {shape}, but are {found}; see lesionbench.torchkit.tensors.to_images")
    require(images.max() > 1, f"samples must use 0..255, but none is above {images.max()}; multiply by 255")


def check_a_dose_of_zero_gives_no_images(plugin_class: type[Augmenter]) -> None:
    """A sampler asked for zero images returns an array of zero images."""
    sampler = drawing(plugin_class) if plugin_class.makes_images else shared(plugin_class).sampler
    found = sampler.sample(0, 0, SEED).shape
    require(found == (0, 32, 32, 3), f"sample(label, 0, seed) must have shape (0, 32, 32, 3), not {found}")


def check_the_same_seed_draws_the_same_images(plugin_class: type[Augmenter]) -> None:
    """Samples depend on label, count and seed alone, not on what was drawn before."""
    sampler = drawing(plugin_class)
    before = sampler.sample(0, FEW, SEED)
    sampler.sample(1, FEW, OTHER_SEED)
    again = same(before, sampler.sample(0, FEW, SEED))
    require(again, "sample must depend on its arguments alone, but a later call differs; seed it in each call")


def check_another_seed_draws_other_images(plugin_class: type[Augmenter]) -> None:
    """Samples depend on the seed; a sampler that repeats images repeats them in another order."""
    sampler = drawing(plugin_class)
    equal = same(sampler.sample(0, FEW, SEED), sampler.sample(0, FEW, OTHER_SEED))
    require(not equal, f"seeds {SEED} and {OTHER_SEED} must draw other images, but drew the same; use the seed")


def check_another_class_draws_other_images(plugin_class: type[Augmenter]) -> None:
    """Samples depend on the class."""
    sampler = drawing(plugin_class)
    equal = same(sampler.sample(0, FEW, SEED), sampler.sample(1, FEW, SEED))
    require(not equal, "classes 0 and 1 must have images of their own, but they are the same; use the label")


def check_doses_are_nested(plugin_class: type[Augmenter]) -> None:
    """The first images of a large dose are the small dose of the same seed, whichever is asked for first."""
    sampler = drawing(plugin_class)
    few, some = sampler.sample(0, FEW, SEED), sampler.sample(0, SOME, SEED)
    many = sampler.sample(0, MANY, SEED)
    for small, large in ((few, some), (some, many), (sampler.sample(0, FEW, SEED), many)):
        require(
            same(small, large[: len(small)]),
            f"the first {len(small)} of {len(large)} images must be the {len(small)} of one seed, but are not; "
            "let no draw depend on count",
        )


def check_fit_leaves_global_state_alone(plugin_class: type[Augmenter]) -> None:
    """Fitting leaves the global state of random, numpy and torch alone: generators, seeds and settings."""
    watched(plugin_class).require_global_state_unchanged()


def check_sample_leaves_global_state_alone(plugin_class: type[Augmenter]) -> None:
    """Sampling leaves the global state of random, numpy and torch alone: generators, seeds and settings."""
    sampler = drawing(plugin_class)
    with global_state_left_alone("sample"):
        sampler.sample(0, FEW, SEED)


def check_transform_leaves_global_state_alone(plugin_class: type[Augmenter]) -> None:
    """Transforming leaves the global state of random, numpy and torch alone: generators, seeds and settings."""
    sampler = transforming(plugin_class)
    with global_state_left_alone("transform"):
        sampler.transform(tiny_images().images.copy(), SEED)


def check_it_prints_nothing(plugin_class: type[Augmenter]) -> None:
    """Fitting, sampling and transforming write nothing to stdout or stderr."""
    traces_of_use(plugin_class).require_nothing_printed("an augmenter")


def check_it_writes_into_its_folder_alone(plugin_class: type[Augmenter]) -> None:
    """Fitting, sampling and transforming leave no file outside the context's folder."""
    traces_of_use(plugin_class).require_nothing_written_outside("an augmenter")


def check_reports_are_sound(plugin_class: type[Augmenter]) -> None:
    """Each report of a fit has a step within the total, and finite scalars."""
    require_sound_reports(watched(plugin_class).reports)


def check_transform_keeps_shape_and_dtype(plugin_class: type[Augmenter]) -> None:
    """Transformed images are uint8 (N, H, W, C), the shape of the images given."""
    sampler = transforming(plugin_class)
    images = tiny_images().images
    for given in (images.copy(), images[:0].copy()):
        changed_images = sampler.transform(given, SEED)
        right = changed_images.dtype == np.uint8 and changed_images.shape == given.shape
        found = f"{changed_images.dtype} {changed_images.shape}"
        require(right, f"transform must keep uint8 {given.shape}, but returned {found}")


def check_it_says_whether_it_changes_images(plugin_class: type[Augmenter]) -> None:
    """`changes_images` is True exactly when its samplers have `transform`: it decides who may be used on the fly."""
    can, says = isinstance(shared(plugin_class).sampler, Transformer), plugin_class.changes_images
    found = "has" if can else "has no"
    require(can == says, f"its sampler {found} `transform`, so changes_images must be {can}, not {says}; set it so")


def check_transform_is_seeded(plugin_class: type[Augmenter]) -> None:
    """The same seed changes images in the same way, and another seed changes them differently."""
    sampler = transforming(plugin_class)
    images = tiny_images().images
    first, again, other = (sampler.transform(images.copy(), seed) for seed in (SEED, SEED, OTHER_SEED))
    require(same(first, again), "one seed must transform the same way twice, but did not; seed it in each call")
    require(not same(first, other), "another seed must transform another way, but did not; use the seed")


def check_transform_changes_each_image_by_itself(plugin_class: type[Augmenter]) -> None:
    """Copies of one image in one call are changed differently: each has its own random numbers."""
    sampler = transforming(plugin_class)
    copies = sampler.transform(np.repeat(tiny_images().images[:1], 24, axis=0), SEED)
    equal = bool((copies == copies[:1]).all())
    require(
        not equal,
        "transform must change each image at random, but 24 copies of one came out the same; draw for each image",
    )


def check_transform_leaves_its_images_alone(plugin_class: type[Augmenter]) -> None:
    """Transforming does not edit the images given, and works on read-only ones."""
    sampler = transforming(plugin_class)
    read_only = tiny_images().images
    images = read_only.copy()
    sampler.transform(images, SEED)
    require(same(images, read_only), "transform must leave its images alone, but it edited them; work on a copy")
    sampler.transform(read_only, SEED)


def check_a_saved_sampler_draws_the_same(plugin_class: type[Augmenter]) -> None:
    """A sampler that is saved before it draws, as in a run, and loaded without the fit's folder draws the same."""
    with TemporaryDirectory() as folder:
        with fitted(plugin_class) as sampler:
            _save(sampler, Path(folder))
            before = first_draws(sampler)
        try:
            loaded = quick(plugin_class).load(Path(folder))
        except NotImplementedError:
            raise AssertionError("an augmenter whose sampler can save must have load(folder), but has none") from None
        after = first_draws(loaded)
    require(
        all(map(same, before, after)),
        "a loaded sampler must draw the same images, but draws others; save all it uses",
    )


def check_a_saved_sampler_holds_no_pickle(plugin_class: type[Augmenter]) -> None:
    """What a sampler saves can be read without running code from it."""
    with TemporaryDirectory() as folder, fitted(plugin_class) as sampler:
        _save(sampler, Path(folder))
        found = pickles_in(Path(folder))
    require(not found, f"a sampler must not save pickles, but {', '.join(found)} is one; use safetensors, npz or JSON")


def _save(sampler: Sampler, folder: Path) -> None:
    if not isinstance(sampler, Saveable):
        raise Skipped("its sampler has no save")
    sampler.save(folder)
