"""What `lesionbench audit split` does: read the images and their parts, find the twins, say and draw what was found."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lesionbench.audit.split_table import read_split_table
from lesionbench.errors import DatasetError, OutputError, SettingsError, SplitError
from lesionbench.evidence.images.leakage import PAIRS_COLUMNS, TWINS_COLUMNS, Divided, find_leaks, pair_rows, twin_rows
from lesionbench.evidence.images.leakage import pixel_digest as digest_of
from lesionbench.evidence.images.near_duplicates import LARGEST_SIDE
from lesionbench.evidence.images.without_twins import WITHOUT_TWINS_COLUMNS, without_twins
from lesionbench.experiment.data_folder import find_data
from lesionbench.experiment.output import refuse_inside
from lesionbench.experiment.prepare import DEFAULT_FOLDS
from lesionbench.experiment.results import read_results
from lesionbench.experiment.settings import Experiment, make_experiment
from lesionbench.experiment.store import write_whole
from lesionbench.pictures.pairs import save_pairs
from lesionbench.pipeline.context import derive_seed
from lesionbench.pipeline.dataset import load_dataset
from lesionbench.pipeline.leaderboard import as_csv
from lesionbench.pipeline.split import divide
from lesionbench.plugins import Plugins
from lesionbench.report.twins import picture_sections, summary
from lesionbench.spelling import parse_spec

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lesionbench.evidence.images.leakage import Leaks
    from lesionbench.experiment.results import Results
    from lesionbench.pipeline.dataset import Dataset, LoadedDataset
    from lesionbench.pipeline.images import LabelledImages

PAIRS, PICTURE, TWINS, LEADERBOARD = "pairs.csv", "pairs.png", "twins.csv", "leaderboard_without_twins.csv"
TABLES = (".csv", ".tsv")


@dataclass(frozen=True)
class SplitAudit:
    """What was asked for: the arguments of `lesionbench audit split`."""

    dataset: str
    data: Path | None
    images: Path | None
    split: str | None
    near: float
    run: Path | None
    out: Path | None

    @property
    def of_table(self) -> bool:
        """Whether the split is a user's table and not that of an installed dataset."""
        path = Path(self.dataset)
        return path.suffix.lower() in TABLES or path.is_file()

    @property
    def folder(self) -> Path:
        """Where the audit is written."""
        name = Path(self.dataset).stem if self.of_table else self.dataset.partition("[")[0]
        return self.out if self.out is not None else Path("runs") / f"audit-{name}"


def audit_split(asked: SplitAudit) -> None:
    """Write pairs.csv, pairs.png, twins.csv and, for a run, leaderboard_without_twins.csv; print what they say."""
    _refuse_folder(asked.folder)
    results = read_results(asked.run) if asked.run is not None else None
    divided, notes = _of_table(asked) if asked.of_table else _of_dataset(asked, results)
    if results is not None:
        _refuse_other_run(asked, divided, results)
    _say(notes)
    leaks = find_leaks(divided, asked.near)
    _write(asked.folder, leaks)
    _say(summary(leaks, asked.near))
    if results is not None:
        _write_without_twins(asked.folder, leaks, results)
    _say(str(path) for path in sorted(asked.folder.iterdir()) if path.name in (PAIRS, PICTURE, TWINS, LEADERBOARD))


def _refuse_folder(out: Path) -> None:
    """Raise OutputError unless the folder is new, empty or an earlier audit's."""
    if out.exists() and not out.is_dir():
        raise OutputError(f"the output must be a folder, but {out} is a file; choose another --out")
    ours = {PAIRS, PICTURE, TWINS, LEADERBOARD}
    foreign = sorted({entry.name for entry in out.iterdir()} - ours) if out.exists() else []
    if foreign:
        raise OutputError(
            f"the output folder must be new or hold an earlier audit, but {out} holds other files ({foreign[0]}); "
            "choose another --out"
        )


def _of_table(asked: SplitAudit) -> tuple[Divided, list[str]]:
    for option in ("data", "split"):
        if getattr(asked, option) is not None:
            raise SettingsError(
                f"a table names its own images and parts; leave out --{option} {getattr(asked, option)}"
            )
    if asked.images is not None and not asked.images.is_dir():
        raise DatasetError(f"--images must be an existing folder, not {asked.images}")
    divided = read_split_table(Path(asked.dataset), asked.images)
    return divided, [f"{asked.dataset}: {_sizes(divided)}"]


def _of_dataset(asked: SplitAudit, results: Results | None) -> tuple[Divided, list[str]]:
    """The images of an installed dataset, divided as the run was or as `--split` says."""
    if asked.images is not None:
        raise SettingsError(f"--images goes with a table of paths; leave out --images {asked.images}")
    plugins = Plugins.load()
    experiment = _experiment(asked, plugins, results)
    dataset = _large(plugins.dataset(asked.dataset), asked.dataset)
    root = find_data(dataset, asked.data)
    refuse_inside(root, asked.folder)
    data = load_dataset(dataset, root)
    mode = experiment.split or ("official" if data.is_test is not None else DEFAULT_FOLDS)
    divided = Divided(
        data.images.images,
        [digest_of(image) for image in data.images.images],
        _parts(data, experiment, mode),
        data.images.ids,
        np.array(data.images.classes)[data.images.labels],
        data.images.groups.astype(np.str_) if data.groups_known else np.full(len(data.images), ""),
    )
    heading = f"{asked.dataset}, split {mode}: {_sizes(divided)}, {_shape(data.images)}"
    return divided, [heading, *(f"note: {note}" for note in data.notes)]


def _experiment(asked: SplitAudit, plugins: Plugins, results: Results | None) -> Experiment:
    """The settings that say how to divide: `--split`, else those of the run."""
    made = make_experiment({"dataset": asked.dataset, "split": asked.split}, plugins)
    if results is None:
        return made
    run = results.experiment
    split = made.split if made.split is not None else _run_split(results)
    return made.model_copy(update={"split": split, "seed": run.seed, "validation": run.validation})


def _run_split(results: Results) -> str | int:
    split = str(results.resolved["split"])
    return int(split) if split.isdigit() else split


def _large(dataset: Dataset, spec: str) -> Dataset:
    """The dataset with images large enough to see detail in, where it reads files and its size was not given."""
    if not dataset.needs_data or "size" in parse_spec(spec)[1]:
        return dataset
    return dataset.enlarged(LARGEST_SIDE)


def _parts(data: LoadedDataset, experiment: Experiment, mode: str | int) -> np.ndarray[tuple[int], np.dtype[np.str_]]:
    """The part of every image: train or test, or the fold that tests it; validation is drawn from inside train."""
    if mode == "official":
        if data.is_test is None:
            raise SplitError("this dataset brings no official split; --split 5 makes five group-wise folds")
        return np.where(data.is_test, "test", "train")
    folds = divide(data, mode, experiment.validation, derive_seed("split", experiment.seed))  # type: ignore[arg-type]
    parts = np.full(len(data.images), "", "<U16")
    for number, fold in enumerate(folds):
        parts[fold == "test"] = f"fold {number}"
    return parts


def _refuse_other_run(asked: SplitAudit, divided: Divided, results: Results) -> None:
    """Raise SettingsError unless every fold of the run tested images of one tested part."""
    part_of = dict(zip(divided.ids.tolist(), divided.parts.tolist(), strict=True))
    tested = divided.tested()
    for result in results.arms():
        for fold in (fold for folds in result.test.values() for fold in folds):
            parts = {part_of.get(name, "") for name in fold.ids.tolist()}
            if len(parts) == 1 and parts <= set(tested):
                continue
            odd = next((name for name in fold.ids.tolist() if part_of.get(name) not in tested), fold.ids[0])
            raise SettingsError(
                f"the run in {asked.run} must have tested images of one part of the split, but {asked.dataset} "
                f"does not have them there (such as {odd}); audit what it ran on: "
                f"lesionbench audit split '{results.experiment.dataset}' --run {asked.run}"
            )


def _write(out: Path, leaks: Leaks) -> None:
    out.mkdir(parents=True, exist_ok=True)
    write_whole(out / PAIRS, as_csv(pair_rows(leaks), PAIRS_COLUMNS))
    write_whole(out / TWINS, as_csv(twin_rows(leaks), TWINS_COLUMNS))
    for stale in (PICTURE, LEADERBOARD):
        (out / stale).unlink(missing_ok=True)
    sections = picture_sections(leaks)
    if any(sections.values()):
        save_pairs(out / PICTURE, sections)


def _write_without_twins(out: Path, leaks: Leaks, results: Results) -> None:
    rows = without_twins(results.arms(), set(leaks.divided.ids[leaks.any_twin].tolist()))
    write_whole(out / LEADERBOARD, as_csv(rows, WITHOUT_TWINS_COLUMNS))
    from lesionbench.report.twins import without_twins_lines

    _say(without_twins_lines(rows))


def _sizes(divided: Divided) -> str:
    names, counts = np.unique(divided.parts, return_counts=True)
    return ", ".join(
        f"{count} {name}" if not name[:1].isdigit() else f"{count} in {name}"
        for name, count in zip(names, counts, strict=True)
    )


def _shape(images: LabelledImages) -> str:
    height, width, channels = images.shape
    return f"{height} x {width}, {'grey' if channels == 1 else 'colour'}"


def _say(lines: Iterable[str]) -> None:
    sys.stdout.writelines(f"{line}\n" for line in lines)
    sys.stdout.flush()
