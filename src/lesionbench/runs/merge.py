"""Joining runs of the same protocol, made on different machines or at different times, into one run.

What would make two arms incomparable is refused: other images, other divisions, other settings, other code, other
versions. A cell that several runs have must have the same predictions in all of them.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np

from lesionbench.errors import ANOTHER_OUT, OutputError, Try
from lesionbench.experiment.bench import LOGS
from lesionbench.experiment.collect import refuse_uncollected
from lesionbench.experiment.environment import differences, keep_environment, read_environment, session_here
from lesionbench.experiment.grid import arms, cells
from lesionbench.experiment.keys import HELD_BACK, Seeds
from lesionbench.experiment.output import (
    DATA,
    PREDICTIONS_FILE,
    SETTINGS,
    predictions_path,
    refuse_file,
    settings_text,
    store_address,
)
from lesionbench.experiment.results import noted_cells, read_results
from lesionbench.experiment.settings import JUDGING, OWN_PLUGINS, RESOLVED, Experiment, parse_toml
from lesionbench.experiment.tables import CELL_COLUMNS, PUBLISHED, write_cells, write_tables
from lesionbench.store.addresses import local_folder, open_store, whole_address
from lesionbench.store.digests import file_digest
from lesionbench.store.drafts import draft_beside
from lesionbench.store.layout import CODE, DATASETS, FITS, POOLS, PREDICTIONS, SPLITS
from lesionbench.store.whole_files import write_whole

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from lesionbench.experiment.environment import Environment
    from lesionbench.experiment.grid import Cell, GridArm
    from lesionbench.experiment.results import Results
    from lesionbench.experiment.tables import Tables
    from lesionbench.pipeline.leaderboard import Row
    from lesionbench.store.store import Store

JOINED = ("augmenters", "synthetic", "on_the_fly", "classifiers")  # settings that say which arms there are
FREE = {*JOINED, *JUDGING, "data", "device", "precision"}  # the last two are compared as they were resolved
PROTOCOL = ("split", "folds", "groups", "classes", "positive_class", "images", "shape")  # of what a run resolved
MOST_NAMED = 6  # differences in one message


@dataclass(frozen=True)
class Merged:
    """A merged run, and what is worth knowing about it."""

    out: Path
    tables: Tables
    runs: int
    cells: int
    common: int  # cells that several runs have, with the same predictions
    failed: int
    waiting: int  # cells that none of the runs has
    not_stored: int  # cells whose predictions are in no store of their run
    other: tuple[str, ...]  # differences that may round differently, or only show results


@dataclass(frozen=True)
class _Part:
    """One of the runs that are joined."""

    folder: Path
    results: Results
    rows: Mapping[str, Mapping[str, str]]
    environment: Environment

    @classmethod
    def read(cls, folder: Path) -> _Part:
        """Raises OutputError unless the folder holds a whole run with its environment."""
        results = read_results(folder)
        refuse_uncollected(folder)
        return cls(folder, results, noted_cells(folder), read_environment(folder))

    @property
    def store(self) -> str:
        """The address of its store."""
        return whole_address(store_address(self.folder, self.results.resolved))


def merge(folders: Sequence[Path], out: Path) -> Merged:
    """Join the runs in these folders into a new run in `out`, with all tables made from their predictions.

    Raises OutputError, before anything is written, when they cannot be joined; the message names what differs.
    """
    _refuse_folders(folders, out)
    parts = [_Part.read(folder) for folder in folders]
    for part in parts[1:]:
        _refuse_other_protocol(parts[0], part)
    common = _refuse_other_predictions(parts)
    experiment = _joined(parts)
    with draft_beside(out) as draft:
        tables = _write(parts, experiment, draft)
        kept, not_stored = _join_stores(parts, draft)
        draft.replace(out)  # an empty folder may be there
    if kept:
        open_store(_shared_store(parts) or out / "store").note_use(out, kept)
    return Merged(
        out=out,
        tables=tables,
        runs=len(parts),
        cells=tables.cells,
        common=common,
        failed=len(tables.failed),
        waiting=tables.waiting,
        not_stored=not_stored,
        other=_other(parts),
    )


def _refuse_folders(folders: Sequence[Path], out: Path) -> None:
    """Raise OutputError unless there are several runs, and a place for a new one."""
    if len({folder.resolve() for folder in folders}) < 2 or len({f.resolve() for f in folders}) < len(folders):
        raise OutputError("two or more runs are joined, each named once; name their folders")
    refuse_file(out)
    if out.exists() and any(out.iterdir()):
        raise OutputError(f"runs are joined into a new folder, but {out} holds files", ANOTHER_OUT)
    for folder in folders:
        if out.resolve().is_relative_to(folder.resolve()):
            raise OutputError(f"the new folder must be outside the runs, but {out} is inside {folder}", ANOTHER_OUT)


def _refuse_other_protocol(first: _Part, part: _Part) -> None:
    """Raise OutputError, which names every difference, unless the two runs did the same to the same images."""
    ours, theirs = first.results, part.results
    names = (f"in {first.folder}", f"in {part.folder}")

    def difference(name: str, one: object, other: object) -> str:
        return f"{name}: {one} {names[0]}, {other} {names[1]}"

    seeds = ours.experiment.seed, theirs.experiment.seed
    if seeds[0] != seeds[1]:
        raise OutputError(
            f"{first.folder} and {part.folder} have different base seeds ({seeds[0]} and {seeds[1]}), which cannot be "
            "joined",
            Try("run both with {seed}", seed=seeds[0]),
        )
    fixed = [name for name in Experiment.model_fields if name not in FREE]
    pairs = [(name, getattr(ours.experiment, name), getattr(theirs.experiment, name)) for name in fixed]
    pairs += [(name, ours.resolved.get(name), theirs.resolved.get(name)) for name in PROTOCOL]
    found = dict.fromkeys(difference(*pair) for pair in pairs if pair[1] != pair[2])
    if ours.resolved.get("sources") != theirs.resolved.get("sources"):
        found["the files of the data"] = None
    if file_digest(first.folder / "splits.csv") != file_digest(part.folder / "splits.csv"):
        found["the division of the images (splits.csv)"] = None
    found |= dict.fromkeys(differences(first.environment, part.environment, names).deciding)
    if found:
        more = f"; and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else ""
        raise OutputError(
            f"{part.folder} was not made like {first.folder}, so their arms cannot be compared; what differs: "
            + "; ".join(list(found)[:MOST_NAMED])
            + more,
            *_seeds_advice(first, part),
        )


def _seeds_advice(first: _Part, part: _Part) -> list[Try]:
    """What to type where the repeats differ."""
    ours, theirs = first.results.experiment, part.results.experiment
    if ours.seeds == theirs.seeds:
        return []
    fewer, seeds = (first, theirs.seeds) if ours.seeds < theirs.seeds else (part, ours.seeds)
    return [
        Try(
            f"repeats are counted from 1 in every run, so each needs as many; to add those that lack: lesionbench run "
            f"{fewer.folder / SETTINGS} {{seeds}} {{store}} {{out}}",
            seeds=seeds,
            store=fewer.store,
            out=f"{fewer.folder}-{seeds}-seeds",
        )
    ]


def _refuse_other_predictions(parts: Sequence[_Part]) -> int:
    """How many cells several runs have; raises OutputError if the predictions of one differ."""
    common = set()
    seen: dict[str, _Part] = {}
    for part in parts:
        for name in part.results.found:
            first = seen.setdefault(name, part)
            if first is part:
                continue
            common.add(name)
            if first.rows[name]["predictions_sha256"] != part.rows[name]["predictions_sha256"]:
                one, other = (each.results.found[name]["test"].scores for each in (first, part))
                apart = f"by up to {np.abs(one - other).max():.2g}" if one.shape == other.shape else "in number"
                raise OutputError(
                    f"{first.folder} and {part.folder} have different predictions for the same cell {name}: scores of "
                    f"test images differ {apart}; the machines do not compute alike, so their arms cannot be compared",
                    Try(
                        "run both on one kind of machine, or with one {store}, so that each cell is made only once",
                        store="DIR",
                    ),
                )
    return len(common)


def _joined(parts: Sequence[_Part]) -> Experiment:
    """The experiment with the arms of all runs; where settings cannot express just these, it has more."""
    first = parts[0].results.experiment
    wanted = list(dict.fromkeys(arm for part in parts for arm in arms(part.results.experiment)))

    def union(name: str) -> tuple[Any, ...]:
        return tuple(dict.fromkeys(value for part in parts for value in getattr(part.results.experiment, name)))

    joined = first.model_copy(
        update={**{name: union(name) for name in JOINED}, "synthetic": tuple(sorted(union("synthetic")))}
    )
    for candidate in (joined, *_with_doses(joined, wanted)):
        if set(arms(candidate)) == set(wanted):
            return candidate
    return joined


def _with_doses(joined: Experiment, wanted: Sequence[GridArm]) -> Iterator[Experiment]:
    """The experiment with a dose written behind every augmenter, such as `dcgan@60`."""
    drawing = [arm for arm in wanted if arm.draws]
    augmenters = tuple(dict.fromkeys(f"{arm.augmenter}@{arm.synthetic_per_class}" for arm in drawing))
    for dose in joined.synthetic:  # links of a chain without a number of their own take it
        yield joined.model_copy(update={"augmenters": augmenters, "synthetic": (dose,)})


def _write(parts: Sequence[_Part], experiment: Experiment, out: Path) -> Tables:
    """Write the merged run, but for its store, into an empty folder; returns its tables."""
    grid = cells(experiment, parts[0].results.folds)
    owners = {cell.name: _owner(cell, parts) for cell in grid}
    for cell in grid:
        owner = owners[cell.name]
        if owner is not None and cell.name in owner.results.found:
            predictions_path(out, cell).parent.mkdir(exist_ok=True)
            shutil.copyfile(predictions_path(owner.folder, cell), predictions_path(out, cell))
    write_cells(out, [_row(cell, owners[cell.name], experiment) for cell in grid])
    for part in parts:
        _copy_missing(part.folder / LOGS, out / LOGS)
        _copy_missing(part.folder / "samples", out / "samples")
    for name in ("splits.csv", PUBLISHED):
        source = next((part.folder / name for part in parts if (part.folder / name).exists()), None)
        if source is not None:
            shutil.copyfile(source, out / name)
    _write_settings(parts, experiment, out)
    keep_environment(out, _joined_environment([part.environment for part in parts]))
    return write_tables(out)


def _owner(cell: Cell, parts: Sequence[_Part]) -> _Part | None:
    """The run that a cell is taken from: the first that finished it, else the first in which it failed."""
    having = [part for part in parts if cell.name in part.rows]
    done = [part for part in having if cell.name in part.results.found]
    failed = [part for part in having if cell.name in part.results.failed]
    return next(iter((*done, *failed, *having)), None)


def _row(cell: Cell, owner: _Part | None, experiment: Experiment) -> Row:
    """The cell's row of cells.csv; of a cell that no run has, what is known before it is run."""
    row: Row = dict.fromkeys(CELL_COLUMNS)
    if owner is not None:
        return {**row, **{name: value or None for name, value in owner.rows[cell.name].items() if name in row}}
    return row | {
        "cell": cell.name,
        "status": "waiting",
        "augmenter": cell.arm.augmenter,
        "synthetic_per_class": cell.arm.synthetic_per_class,
        "classifier": cell.arm.classifier,
        "fold": cell.fold,
        "seed": cell.seed,
        "classifier_seed": Seeds(experiment.seed).classify(cell),
        "on_the_fly": cell.arm.on_the_fly,
        "classifier_repeat": cell.classifier_seed,
    }


def _copy_missing(source: Path, target: Path) -> None:
    """Copy what is in a folder and not yet in another."""
    target.mkdir(exist_ok=True)
    for path in source.iterdir() if source.is_dir() else ():
        if (target / path.name).exists():
            continue
        if path.is_dir():
            shutil.copytree(path, target / path.name)
        else:
            shutil.copyfile(path, target / path.name)


def _shared_store(parts: Sequence[_Part]) -> str | None:
    """The store of all runs, if they share one that is not inside one of them."""
    stores = {part.store for part in parts}
    inside = {whole_address(part.folder / "store") for part in parts}
    return stores.pop() if len(stores) == 1 and not stores & inside else None


def _join_stores(parts: Sequence[_Part], out: Path) -> tuple[set[tuple[str, str]], int]:
    """Copy what the runs have in their stores into `out`/store, but for runs that share a store, which go on so.

    Returns the entries, each a kind and a key, and how many cells have none.
    """
    kept: set[tuple[str, str]] = set()
    lacking = 0
    shared = _shared_store(parts)
    if shared is not None and local_folder(shared) is None:  # elsewhere: the next `run` notes what it uses
        return kept, lacking
    for part in parts:
        store = open_store(part.store)
        digests = [part.rows[name]["predictions_sha256"] for name in part.results.found]
        entries, stored = _entries(store, set(digests))
        if shared is None:
            entries = {entry for entry in entries if store.copy_to(open_store(out / "store"), *entry)}
        kept |= entries
        lacking += sum(digest not in stored for digest in digests)
    return kept, lacking


def _entries(store: Store, wanted: set[str]) -> tuple[set[tuple[str, str]], set[str]]:
    """The entries behind predictions with these digests, each a kind and a key, and the digests that were found."""
    found: set[tuple[str, str]] = set()
    stored = set()
    for key in store.keys(PREDICTIONS):
        entry = store.glance(PREDICTIONS, key)
        digest = entry.digest(PREDICTIONS_FILE) if entry is not None else None
        if digest in wanted and store.read(PREDICTIONS, key):
            stored.add(digest)
            _follow(store, PREDICTIONS, key, found)
    fits = {key for kind, key in found if kind == FITS}
    for key in store.keys(POOLS):
        if _inputs(store, POOLS, key).get("fit") in fits:
            found.add((POOLS, key))
    return found, stored


def _follow(store: Store, kind: str, key: str, found: set[tuple[str, str]]) -> None:
    """Add an entry and everything that it was made from."""
    if (kind, key) in found:
        return
    found.add((kind, key))
    inputs = _inputs(store, kind, key)
    for name, of_kind in (("splits", SPLITS), ("of", DATASETS), ("on_the_fly", FITS)):
        if inputs.get(name):
            _follow(store, of_kind, inputs[name], found)
    for fit, *_ in (*inputs.get("synthetic", ()), *inputs.get("before", ())):
        if fit != HELD_BACK:
            _follow(store, FITS, fit, found)
    for part in (inputs, *(inputs.get(plugin, {}) for plugin in ("classifier", "augmenter", "dataset"))):
        if "code" in part:
            found.add((CODE, part["code"]))


def _inputs(store: Store, kind: str, key: str) -> dict[str, Any]:
    entry = store.glance(kind, key)
    return {} if entry is None else entry.inputs


def _write_settings(parts: Sequence[_Part], experiment: Experiment, out: Path) -> None:
    """Write experiment.toml: that of the first run with the arms of all."""
    first = parts[0]
    noted = parse_toml(first.folder / SETTINGS)
    resolved = noted.pop(RESOLVED)
    noted |= {name: list(getattr(experiment, name)) for name in JOINED}
    data = first.results.experiment.data
    if data is not None and data.resolve() == (first.folder / DATA).resolve():
        shutil.copytree(data, out / DATA)
    elif data is not None:
        noted["data"] = str(data.resolve())
    for name in ("controls", OWN_PLUGINS):
        every = [value for part in parts for value in part.results.resolved.get(name, ())]
        if every or name in resolved:
            resolved[name] = list(dict.fromkeys(every))
    resolved.pop("store", None)
    shared = _shared_store(parts)
    if shared is not None:
        resolved["store"] = shared
    write_whole(out / SETTINGS, settings_text(noted, resolved))


def _joined_environment(environments: Sequence[Environment]) -> Environment:
    def join(one: Environment, other: Environment) -> Environment:
        known = {(plugin.kind, plugin.spec) for plugin in one.plugins}
        new = tuple(plugin for plugin in other.plugins if (plugin.kind, plugin.spec) not in known)
        tables = ("libraries", "other_libraries", "modules")
        joined: dict[str, Any] = {name: {**getattr(other, name), **getattr(one, name)} for name in tables}
        return one.model_copy(
            update={**joined, "plugins": (*one.plugins, *new), "sessions": (*one.sessions, *other.sessions)}
        )

    joined = reduce(join, environments)
    return joined.model_copy(update={"sessions": (*joined.sessions, session_here())})


def _other(parts: Sequence[_Part]) -> tuple[str, ...]:
    """Differences that do not forbid a comparison: judging, machines, and what only shows results."""
    first = parts[0]
    found: list[str] = []
    for part in parts[1:]:
        names = (f"in {first.folder}", f"in {part.folder}")
        one, other = first.results.experiment, part.results.experiment
        found += [
            f"{name}: {getattr(one, name)} {names[0]}, which is used, {getattr(other, name)} {names[1]}"
            for name in JUDGING
            if getattr(one, name) != getattr(other, name)
        ]
        published = [_content(each.folder / PUBLISHED) for each in (first, part)]
        if None not in published and published[0] != published[1]:
            found.append(f"{PUBLISHED}: that of {first.folder} is used")
        found += differences(first.environment, part.environment, names).other
    return tuple(dict.fromkeys(found))


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None
