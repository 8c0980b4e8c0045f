from __future__ import annotations

import json
import pickle
import random
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from pydantic import Field, PrivateAttr

from lesionbench import Augmenter, AugmenterInParts, FittedPart, StackableAugmenter, derive_seed
from lesionbench.pipeline.context import NoCheckpoint
from lesionbench.testing import Skipped, a_context, augmenter_checks, tiny_images

GUIDE = (Path(__file__).parents[2] / "docs" / "writing-a-plugin.md").read_text(encoding="utf-8")


class NoiseSampler:
    def __init__(self, shape, seed):
        self.shape, self.seed = tuple(shape), seed

    def generator(self, *parts):
        return np.random.default_rng([self.seed, *parts])

    def sample(self, label, count, seed):
        return self.generator(seed, label).integers(0, 256, (count, *self.shape), np.uint8)

    def transform(self, images, seed):
        shift = self.generator(seed).integers(0, 50, (len(images), 1, 1, 1), np.uint8)
        return images // 2 + shift

    def save(self, folder):
        (folder / "noise.json").write_text(json.dumps([self.shape, self.seed]))


class Noise(Augmenter):
    """Noise: a correct augmenter."""

    name: ClassVar[str] = "noise"
    changes_images: ClassVar[bool] = True
    sampler: ClassVar[type] = NoiseSampler
    steps: int = Field(1000, ge=1, description="Steps that it pretends to take.")

    def fit(self, train, context):
        for step in range(1, self.steps + 1):
            context.report(step, self.steps, loss=1.0 / step)
        (context.folder / "notes.txt").write_text("fitted")
        return self.sampler(train.shape, context.seed)

    def load(self, folder):
        return self.sampler(*json.loads((folder / "noise.json").read_text()))


class EditsTheTrainingImages(Noise):
    def fit(self, train, context):
        train.images[0] = 0
        return super().fit(train, context)


class KeepsItsTransformToItself(Noise):
    changes_images: ClassVar[bool] = False


class RemembersInItsSettings(Noise):
    def fit(self, train, context):
        self.__dict__["learned"] = train.shape
        return super().fit(train, context)


class ReturnsOneSampler(Noise):
    made: ClassVar[dict] = {}

    def fit(self, train, context):
        return self.made.setdefault(train.shape, super().fit(train, context))


class ReturnsTheSamplerOfItsFirstFit(Noise):
    _made: dict = PrivateAttr(default_factory=dict)  # not among its settings

    def fit(self, train, context):
        return self._made.setdefault(train.shape, super().fit(train, context))


class FitsUnseeded(Noise):
    def fit(self, train, context):
        return self.sampler(train.shape, int(np.random.default_rng().integers(1000)))


class ReseedsTorch(Noise):
    def fit(self, train, context):
        import torch

        torch.manual_seed(context.seed)
        return super().fit(train, context)


class SetsTorchsDefaultDtype(Noise):
    def fit(self, train, context):
        import torch

        torch.set_default_dtype(torch.float64)
        return super().fit(train, context)


class SetsTorchsThreads(Noise):
    def fit(self, train, context):
        import torch

        torch.set_num_threads(torch.get_num_threads() + 1)
        return super().fit(train, context)


class Prints(Noise):
    def fit(self, train, context):
        print("step 1 of 1000")
        return super().fit(train, context)


class WritesIntoTheCurrentFolder(Noise):
    def fit(self, train, context):
        Path("loss.csv").write_text("1.0")
        return super().fit(train, context)


class WritesBesideItsFolder(Noise):
    def fit(self, train, context):
        (context.folder.parent / "loss.csv").write_text("1.0")
        return super().fit(train, context)


class ReportsNoNumber(Noise):
    def fit(self, train, context):
        context.report(1, 2, loss=float("nan"))
        return self.sampler(train.shape, context.seed)


class ReportsBeyondTheTotal(Noise):
    def fit(self, train, context):
        context.report(3, 2, loss=0.5)
        return self.sampler(train.shape, context.seed)


class SavesItsState(Noise):
    """Its sampler's seed is a sum over random numbers: a correct augmenter whose fit can go on."""

    def fit(self, train, context):
        random = np.random.default_rng(context.seed)
        saved = context.checkpoint.load()
        total = 0
        if saved is not None:
            total, random.bit_generator.state = int(saved.arrays["total"]), saved.values
        for step in range(saved.step + 1 if saved else 1, self.steps + 1):
            total += int(random.integers(1000))
            context.report(step, self.steps)
            if context.checkpoint.due():
                self.save(context.checkpoint, step, total, random)
        return self.sampler(train.shape, total)

    def save(self, checkpoint, step, total, random):
        checkpoint.save(step, {"total": np.array(total)}, random.bit_generator.state)


class ForgetsItsTotal(SavesItsState):
    def save(self, checkpoint, step, total, random):
        checkpoint.save(step, {"total": np.array(0)}, random.bit_generator.state)


class CannotGoOn(SavesItsState):
    def save(self, checkpoint, step, total, random):
        checkpoint.save(step, {"total": np.array(0)}, None)


class OneForEachClass(AugmenterInParts):
    """Noise with a seed for each class: a correct augmenter in parts, each of which can go on."""

    name: ClassVar[str] = "noises"
    steps: int = Field(1000, ge=1, description="Steps that each class takes.")

    def parts(self, classes):
        return classes

    def fit_part(self, part, train, context):
        seed = derive_seed("noises", context.seed, part)
        sampler = SavesItsState(steps=self.steps).fit(train, replace(context, seed=seed))
        (context.folder / f"class{part}.txt").write_text(str(sampler.seed))
        return FittedPart({"seed": np.array([sampler.seed])}, {"shape": train.shape})

    def join(self, parts, train, context):
        assert {path.name for path in context.folder.glob("*.txt")} == {f"class{n}.txt" for n in range(len(parts))}
        return NoiseOfClasses([(part.values["shape"], int(part.arrays["seed"][0])) for part in parts])


class NoiseOfClasses:
    def __init__(self, noises):
        self.noises = noises

    def sample(self, label, count, seed):
        return NoiseSampler(*self.noises[label]).sample(label, count, seed)


class HasTwoPartsOfOneName(OneForEachClass):
    def parts(self, classes):
        return ["a class"] * len(classes)


class LearnsFromThePartBefore(OneForEachClass):
    before: ClassVar[list] = []

    def fit_part(self, part, train, context):
        fitted = super().fit_part(part, train, context)
        if part == 0:
            self.before[:] = [fitted.arrays["seed"]]
            return fitted
        learned = fitted.arrays["seed"] + (self.before.pop() if self.before else 0)
        return FittedPart({"seed": learned}, fitted.values)

    def join(self, parts, train, context):
        self.before.clear()
        return super().join(parts, train, context)


class WritesOneFileForAllParts(OneForEachClass):
    def fit_part(self, part, train, context):
        (context.folder / "losses.txt").write_text(str(part))
        return super().fit_part(part, train, context)

    def join(self, parts, train, context):
        (context.folder / "losses.txt").unlink()
        return super().join(parts, train, context)


class ForgetsThePartsState(OneForEachClass):
    def fit_part(self, part, train, context):
        fitted = super().fit_part(part, train, context)
        resumed = context.checkpoint.load() is not None
        return FittedPart({"seed": fitted.arrays["seed"] + resumed}, fitted.values)


class LearnsTogether(OneForEachClass, StackableAugmenter):
    """A correct augmenter whose parts can be fitted together."""

    def fit_stacked(self, train, context):
        saved = context.checkpoint.load()
        seeds = saved.arrays["seeds"].tolist() if saved else []
        for part in range(len(seeds), len(train.classes)):
            fitted = self.fit_part(part, train, replace(context, checkpoint=NoCheckpoint()))
            seeds.append(self.learned(fitted.arrays["seed"][0], context))
            if context.checkpoint.due():
                context.checkpoint.save(part + 1, {"seeds": np.array(seeds)})
        return [FittedPart({"seed": np.array([seed])}, {"shape": train.shape}) for seed in seeds]

    def learned(self, seed, context):
        return seed


class MixesUpItsParts(LearnsTogether):
    def fit_stacked(self, train, context):
        return super().fit_stacked(train, context)[::-1]


class LosesAFileInAStack(LearnsTogether):
    def fit_stacked(self, train, context):
        fitted = super().fit_stacked(train, context)
        (context.folder / "class0.txt").unlink()
        return fitted


class ForgetsTheStatesOfItsStack(LearnsTogether):
    def learned(self, seed, context):
        return seed + (context.checkpoint.load() is not None)


def with_sampler(name, **methods):
    """A Noise augmenter whose sampler has these methods instead."""
    return type(name, (Noise,), {"sampler": type(name, (NoiseSampler,), methods), "__module__": __name__})


def draw(self, label, count, seed):
    return NoiseSampler.sample(self, label, count, seed)


def draw_and_reseed_numpy(self, label, count, seed):
    np.random.seed(seed)
    return draw(self, label, count, seed)


def draw_where_it_stopped(self, label, count, seed):
    self.calls = getattr(self, "calls", 0) + 1
    return draw(self, label, count, seed + self.calls)


def transform_in_place(self, images, seed):
    images[:] = NoiseSampler.transform(self, images, seed)
    return images


def transform_with_random(self, images, seed):
    random.random()
    return NoiseSampler.transform(self, images, seed)


def draw_and_note_it(self, label, count, seed):
    self.has_drawn = True
    return draw(self, label, count, seed)


def save_what_was_drawn_with(self, folder):
    seed = self.seed if hasattr(self, "has_drawn") else 0
    (folder / "noise.json").write_text(json.dumps([self.shape, seed]))


def pickle_itself(self, folder):
    NoiseSampler.save(self, folder)
    (folder / "sampler.bin").write_bytes(pickle.dumps(self.shape))


BROKEN = {
    EditsTheTrainingImages: {"fit_leaves_the_training_images_alone"},
    KeepsItsTransformToItself: {"it_says_whether_it_changes_images"},
    RemembersInItsSettings: {"fit_leaves_the_settings_alone"},
    ReturnsOneSampler: {"fit_returns_a_new_sampler"},
    ReturnsTheSamplerOfItsFirstFit: {"fit_returns_a_new_sampler"},
    FitsUnseeded: {"fit_with_the_same_seed_gives_the_same_samples"},
    ReseedsTorch: {"fit_leaves_global_state_alone"},
    SetsTorchsDefaultDtype: {"fit_leaves_global_state_alone"},
    SetsTorchsThreads: {"fit_leaves_global_state_alone"},
    Prints: {"it_prints_nothing"},
    WritesIntoTheCurrentFolder: {"it_writes_into_its_folder_alone"},
    WritesBesideItsFolder: {"it_writes_into_its_folder_alone"},
    ReportsNoNumber: {"reports_are_sound"},
    ReportsBeyondTheTotal: {"reports_are_sound"},
    HasTwoPartsOfOneName: {"its_parts_have_names"},
    LearnsFromThePartBefore: {
        "parts_fitted_apart_draw_the_same_images",
        "a_killed_fit_goes_on_to_the_same_samples",
    },
    WritesOneFileForAllParts: {"parts_write_files_of_their_own"},
    MixesUpItsParts: {"a_stacked_fit_learns_what_its_parts_learn"},
    LosesAFileInAStack: {"a_stacked_fit_learns_what_its_parts_learn"},
    ForgetsTheStatesOfItsStack: {"a_killed_stacked_fit_goes_on_to_the_same"},
    ForgetsThePartsState: {"a_killed_fit_goes_on_to_the_same_samples"},
    ForgetsItsTotal: {"a_killed_fit_goes_on_to_the_same_samples"},
    CannotGoOn: {"a_killed_fit_goes_on_to_the_same_samples"},
    with_sampler("DrawsFloats", sample=lambda *a: draw(*a) / 255): {"samples_look_like_training_images"},
    with_sampler("DrawsZeroToOne", sample=lambda *a: draw(*a) // 128): {"samples_look_like_training_images"},
    with_sampler("DrawsOneTooFew", sample=lambda *a: draw(*a)[:-1]): {"samples_look_like_training_images"},
    with_sampler("DrawsHalves", sample=lambda *a: draw(*a)[:, :16]): {
        "samples_look_like_training_images",
        "a_dose_of_zero_gives_no_images",
    },
    with_sampler("IgnoresTheSeed", sample=lambda s, label, n, seed: draw(s, label, n, 0)): {
        "another_seed_draws_other_images"
    },
    with_sampler("IgnoresTheClass", sample=lambda s, label, n, seed: draw(s, 0, n, seed)): {
        "another_class_draws_other_images"
    },
    with_sampler("IsNotNested", sample=lambda s, label, n, seed: draw(s, label, n, seed + n)): {"doses_are_nested"},
    with_sampler("DrawsOnFromWhereItStopped", sample=draw_where_it_stopped): {
        "the_same_seed_draws_the_same_images",
        "fit_returns_a_new_sampler",
        "doses_are_nested",
    },
    with_sampler("ReseedsNumpy", sample=draw_and_reseed_numpy): {"sample_leaves_global_state_alone"},
    with_sampler("TransformsInPlace", transform=transform_in_place): {"transform_leaves_its_images_alone"},
    with_sampler("TransformsWithRandom", transform=transform_with_random): {"transform_leaves_global_state_alone"},
    with_sampler("TransformsAllAlike", transform=lambda s, images, seed: images // 2 + np.uint8(seed)): {
        "transform_changes_each_image_by_itself"
    },
    with_sampler("TransformsUnseeded", transform=lambda s, im, seed: NoiseSampler.transform(s, im, 0)): {
        "transform_is_seeded"
    },
    with_sampler("TransformsToFloats", transform=lambda s, im, seed: NoiseSampler.transform(s, im, seed) / 255): {
        "transform_keeps_shape_and_dtype"
    },
    with_sampler("PicklesItself", save=pickle_itself): {"a_saved_sampler_holds_no_pickle"},
    with_sampler(
        "ForgetsItsSeed", save=lambda s, folder: (folder / "noise.json").write_text(json.dumps([s.shape, 99]))
    ): {"a_saved_sampler_draws_the_same"},
    with_sampler("CanBeSavedOnlyAfterItDrew", sample=draw_and_note_it, save=save_what_was_drawn_with): {
        "a_saved_sampler_draws_the_same"
    },
}


@pytest.fixture(autouse=True)
def torch_as_it_was():
    import torch

    dtype, threads = torch.get_default_dtype(), torch.get_num_threads()
    yield
    torch.set_default_dtype(dtype)
    torch.set_num_threads(threads)


@pytest.mark.parametrize("check", augmenter_checks(), ids=lambda check: check.__name__)
@pytest.mark.parametrize("correct", [Noise, SavesItsState, OneForEachClass, LearnsTogether])
def test_a_correct_augmenter_keeps_the_contract(correct, check):
    check(correct)


def test_the_guides_example_of_a_long_fit_keeps_the_contract():
    """Its checks run, the one of a killed fit too: none that concerns it is skipped."""
    example = GUIDE.partition("## Long fits")[2].partition("```python\n")[2].partition("```")[0]
    names = {"__name__": __name__}
    exec(example, names)
    skipped = set()
    for check in augmenter_checks():
        try:
            check(names["Average"])
        except Skipped:
            skipped.add(check.__name__.removeprefix("check_"))
    assert "a_killed_fit_goes_on_to_the_same_samples" not in skipped
    other = ("transform", "saved", "parts", "stacked")
    assert all(any(word in name for word in other) for name in skipped)


def test_the_guides_example_of_a_fit_in_parts_keeps_the_contract():
    example = GUIDE.partition("## Fits in parts")[2].partition("```python\n")[2].partition("```")[0]
    names = {"__name__": __name__}
    exec(example, names)
    skipped = set()
    for check in augmenter_checks():
        try:
            check(names["Means"])
        except Skipped:
            skipped.add(check.__name__.removeprefix("check_"))
    assert not [name for name in skipped if "parts" in name and "stacked" not in name]


def test_the_parts_of_a_fit_in_one_process_report_as_one(tmp_path):
    context = a_context(tmp_path)
    OneForEachClass(steps=2).fit(tiny_images(3), context)
    steps = [(step, total, scalars["label"]) for step, total, scalars in context.report.rows]
    assert steps == [(1, 6, 0.0), (2, 6, 0.0), (3, 6, 1.0), (4, 6, 1.0), (5, 6, 2.0), (6, 6, 2.0)]


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.__name__)
def test_a_broken_augmenter_is_caught_by_the_check_meant_for_it(broken, failing):
    assert BROKEN[broken] == failing("augmenter", broken)


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.__name__)
def test_the_order_of_the_checks_does_not_matter(broken, failing):
    anew = type(broken.__name__, (broken,), {"__module__": __name__})  # nothing of it is kept for other checks

    assert BROKEN[broken] == failing("augmenter", anew, order=reversed)


def test_a_message_says_rule_value_and_what_to_change():
    check = next(check for check in augmenter_checks() if check.__name__ == "check_fit_leaves_global_state_alone")
    with pytest.raises(AssertionError) as error:
        check(ReseedsTorch)
    expected = (
        "fit must leave global state alone, but it changed torch.random; "
        "work inside lesionbench.torchkit.training.torch_session(seed)"
    )
    assert expected == str(error.value)
