"""The audit of a split: test images that have a twin in another part, and a run's metrics without them."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lesionbench.audit.frames import as_frame, as_html
from lesionbench.audit.split_picture import picture_sections
from lesionbench.audit.split_table import read_split_table
from lesionbench.errors import ANOTHER_OUT, DatasetError, OutputError, SettingsError, Try
from lesionbench.evidence.images.leakage import (
    PAIRS_COLUMNS,
    TWINS_COLUMNS,
    Divided,
    find_leaks,
    pair_rows,
    pixel_digest,
    twin_rows,
)
from lesionbench.evidence.images.near_duplicates import LARGEST_SIDE
from lesionbench.evidence.images.without_twins import WITHOUT_TWINS_COLUMNS, without_twins
from lesionbench.experiment.data_folder import find_data
from lesionbench.experiment.output import refuse_file, refuse_inside
from lesionbench.experiment.results import read_results
from lesionbench.experiment.settings import validated
from lesionbench.pictures.pairs import save_pairs
from lesionbench.pipeline.context import derive_seed
from lesionbench.pipeline.dataset import load_dataset
from lesionbench.pipeline.leaderboard import as_csv
from lesionbench.pipeline.split import divide, no_official_split, split_mode
from lesionbench.spelling import spec_of
from lesionbench.store.whole_files import write_whole

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from lesionbench.evidence.images.leakage import Leaks
    from lesionbench.experiment.results import Results
    from lesionbench.experiment.settings import Experiment
    from lesionbench.pipeline.dataset import Dataset, LoadedDataset
    from lesionbench.pipeline.leaderboard import Row
    from lesionbench.pipeline.split import SplitMode
    from lesionbench.plugins import Plugins

NEAR = 0.85  # the least similarity of near duplicates; what it finds on real images is in the reference
PAIRS, PICTURE, TWINS, LEADERBOARD = "pairs.csv", "pairs.png", "twins.csv", "leaderboard_without_twins.csv"
TABLES = (".csv", ".tsv")


@dataclass(frozen=True, eq=False, repr=False)
class SplitAudit:
    """What an audit of a split found; `divided` holds the images and the part that each stands in."""

    name: str  # of the dataset or the table
    mode: SplitMode | None  # how the dataset is divided; None for a table, which says so itself
    near: float  # the least similarity of near duplicates
    divided: Divided
    leaks: Leaks
    notes: tuple[str, ...] = ()
    rows_without_twins: tuple[Row, ...] = ()  # a row for each arm of the run, if there is one

    @property
    def pairs(self) -> pd.DataFrame:
        """The pairs of images that are twins, the surest first: pairs.csv."""
        return as_frame(pair_rows(self.leaks), PAIRS_COLUMNS)

    @property
    def twins(self) -> pd.DataFrame:
        """How many images of each part and class have a twin in another part: twins.csv."""
        return as_frame(twin_rows(self.leaks), TWINS_COLUMNS)

    @property
    def leaderboard(self) -> pd.DataFrame:
        """The run's metrics on all test images, and on those without a twin: leaderboard_without_twins.csv."""
        return as_frame(self.rows_without_twins, WITHOUT_TWINS_COLUMNS)

    @property
    def is_leaking(self) -> bool:
        """Whether any image has a twin in another part."""
        return bool(self.leaks.any_twin.any())

    def __repr__(self) -> str:
        twins = int(self.leaks.any_twin.sum())
        return (
            f"<SplitAudit of {self.name!r}: {twins} of {len(self.leaks.any_twin)} images have a twin in another part>"
        )

    def _repr_html_(self) -> str:
        return as_html(repr(self), self.twins)

    def write(self, folder: str | Path) -> list[Path]:
        """Write the tables and the picture into a folder that `audit_split` accepted; returns the files."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        for stale in (PICTURE, LEADERBOARD):
            (folder / stale).unlink(missing_ok=True)
        write_whole(folder / PAIRS, as_csv(pair_rows(self.leaks), PAIRS_COLUMNS))
        write_whole(folder / TWINS, as_csv(twin_rows(self.leaks), TWINS_COLUMNS))
        sections = picture_sections(self.leaks)
        if any(sections.values()):
            save_pairs(folder / PICTURE, sections)
        if self.rows_without_twins:
            write_whole(folder / LEADERBOARD, as_csv(list(self.rows_without_twins), WITHOUT_TWINS_COLUMNS))
        return sorted(path for path in folder.iterdir() if path.name in (PAIRS, PICTURE, TWINS, LEADERBOARD))


def split_source(text: str, plugins: Plugins) -> Path | Dataset:
    """What a person names to be audited: a table of image paths, or an installed dataset."""
    path = Path(text)
    return path if path.suffix.lower() in TABLES or path.is_file() else plugins.dataset(text)


def audit_folder(source: Path | Dataset) -> Path:
    """The output folder of an audit when none is named."""
    return Path("runs") / f"audit-{source.stem if isinstance(source, Path) else source.name}"


def audit_split(
    source: Path | Dataset,
    *,
    data: Path | None = None,
    images: Path | None = None,
    split: SplitMode | str | None = None,
    near: float = NEAR,
    run: Path | None = None,
    out: Path | None = None,
) -> SplitAudit:
    """Find images that have a twin in another part: of the same group, of the same pixels, or nearly so.

    source: a dataset, or a CSV with the columns path, split and perhaps group and label.
    data: the dataset's folder.  images: the folder that the table's paths are relative to; by default its own.
    split: `official` or a number of folds; by default as `run` was split, else as the dataset would be in a run.
    near: the least similarity of near duplicates, 0.5 to 1.
    run: the folder of a finished run on these images, whose leaderboard is made again without the twins.
    out: the folder that the audit is to be written to: checked before any image is read.
    Raises InputError: SettingsError, DatasetError, SplitError or OutputError.
    """
    if not isinstance(near, Real) or not 0.5 <= near <= 1:
        raise SettingsError(f"near duplicates are 0.5 to 1 similar, not {near!r:.80}", Try("try {near}", near=NEAR))
    if out is not None:
        _refuse_folder(out)
    results = read_results(run) if run is not None else None
    mode: SplitMode | None = None
    notes: tuple[str, ...] = ()
    if isinstance(source, Path):
        divided = _of_table(source, images, {"data": data, "split": split})
    else:
        _refuse_images(images)
        divided, mode, notes = _of_dataset(source, data, _experiment(split, results), out)
    name = str(source) if isinstance(source, Path) else spec_of(source)
    if run is not None and results is not None:
        _refuse_other_run(name, run, divided, results)
    leaks = find_leaks(divided, near)
    twins = set(divided.ids[leaks.any_twin].tolist())
    rows = without_twins(results.arms(), twins) if results is not None else []
    return SplitAudit(name, mode, near, divided, leaks, notes, tuple(rows))


def _refuse_images(images: Path | None) -> None:
    if images is not None:
        raise SettingsError("a folder of images goes with a table of paths", Try("leave out {images}", images=images))


def _refuse_folder(out: Path) -> None:
    """Raise OutputError unless the folder is new, empty or an earlier audit's."""
    refuse_file(out)
    ours = {PAIRS, PICTURE, TWINS, LEADERBOARD}
    foreign = sorted({entry.name for entry in out.iterdir()} - ours) if out.exists() else []
    if foreign:
        raise OutputError(
            f"the output folder must be new or hold an earlier audit, but {out} holds other files ({foreign[0]})",
            ANOTHER_OUT,
        )


def _of_table(table: Path, images: Path | None, unused: dict[str, object]) -> Divided:
    for name, value in unused.items():
        if value is not None:
            raise SettingsError("a table names its own images and parts", Try(f"leave out {{{name}}}", **{name: value}))
    if images is not None and not images.is_dir():
        raise DatasetError(f"the images must be in an existing folder, not {images}", Try("name it with {images}"))
    return read_split_table(table, images)


def _of_dataset(
    dataset: Dataset, data: Path | None, experiment: Experiment, out: Path | None
) -> tuple[Divided, SplitMode, tuple[str, ...]]:
    """The images of a dataset, in which parts they stand, how it is divided, and what the dataset says of itself."""
    root = find_data(dataset, data)
    if out is not None:
        refuse_inside(root, out)
    detailed = dataset.needs_data and "size" not in dataset.model_fields_set
    loaded = load_dataset(dataset.enlarged(LARGEST_SIDE) if detailed else dataset, root)
    mode = split_mode(experiment.split, loaded)
    images = loaded.images
    divided = Divided(
        images.images,
        [pixel_digest(image) for image in images.images],
        _parts(loaded, experiment, mode),
        images.ids,
        np.array(images.classes)[images.labels],
        images.groups.astype(np.str_) if loaded.groups_known else np.full(len(images), ""),
    )
    return divided, mode, loaded.notes


def _experiment(split: SplitMode | str | None, results: Results | None) -> Experiment:
    """The settings that say how to divide: `split` if it is given, else the split of the run."""
    wanted = validated({"split": split})
    if results is None:
        return wanted
    of_run = validated({"split": results.resolved["split"]}).split
    settings = {"split": wanted.split or of_run, "seed": results.experiment.seed}
    return wanted.model_copy(update={**settings, "validation": results.experiment.validation})


def _parts(data: LoadedDataset, experiment: Experiment, mode: SplitMode) -> NDArray[np.str_]:
    """The part of every image: train or test, or the fold that tests it; validation is drawn from inside train."""
    if mode == "official":
        if data.is_test is None:
            raise no_official_split()
        return np.where(data.is_test, "test", "train")
    parts = np.full(len(data.images), "", "<U16")
    for number, fold in enumerate(divide(data, mode, experiment.validation, derive_seed("split", experiment.seed))):
        parts[fold == "test"] = f"fold {number}"
    return parts


def _refuse_other_run(name: str, run: Path, divided: Divided, results: Results) -> None:
    """Raise SettingsError unless every fold of the run tested images of one tested part."""
    part_of = dict(zip(divided.ids.tolist(), divided.parts.tolist(), strict=True))
    tested = divided.tested()
    for result in results.arms():
        for fold in (fold for folds in result.test.values() for fold in folds):
            parts = {part_of.get(image, "") for image in fold.ids.tolist()}
            if len(parts) == 1 and parts <= set(tested):
                continue
            odd = next((image for image in fold.ids.tolist() if part_of.get(image) not in tested), fold.ids[0])
            right = f"lesionbench audit split '{results.experiment.dataset}' {{run}}"
            raise SettingsError(
                f"the run in {run} must have tested images of one part of the split, but {name} "
                f"does not have them there (such as {odd})",
                Try(f"audit what it ran on: {right}", run=run),
            )
