"""Why a cell or a pool runs again: what its key is made from now, beside the nearest entry that was made before."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from lesionbench.experiment.bench import LOGS, Bench, read_record
from lesionbench.experiment.code_digest import module_digests
from lesionbench.experiment.collect import cause_of_failure
from lesionbench.experiment.grid import Cell, PoolJob, find_task, tasks_of
from lesionbench.experiment.keys import HELD_BACK
from lesionbench.experiment.output import predictions_path, read_settings, store_address
from lesionbench.experiment.prepare import SPLITTING, prepare
from lesionbench.experiment.provenance import MODULES, modules_behind
from lesionbench.experiment.results import noted_cells
from lesionbench.experiment.settings import own_plugins
from lesionbench.store.layout import CODE, DATASETS, FITS, PREDICTIONS, SPLITS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping
    from pathlib import Path

    from lesionbench.experiment.keys import Keys
    from lesionbench.experiment.prepare import Inputs
    from lesionbench.experiment.progress_log import Record
    from lesionbench.plugins import Plugins
    from lesionbench.store.entry import Entry
    from lesionbench.store.store import Store

    Modules = Callable[[], Mapping[str, str]]

WAS, IS = "then", "now"
CHAINS = ("synthetic", "before", "on_the_fly")  # in a key's inputs: what other fits it was made from
COPIED = "but the run's folder has a copy"
ANOTHER_REPEAT = 10  # the distance of an entry of another repeat: it is no earlier version of this one


@dataclass(frozen=True)
class Difference:
    """One thing that differs, in words, and what lies behind it."""

    words: str
    because: tuple[Difference, ...] = ()


@dataclass(frozen=True)
class Earlier:
    """An entry that was made before, and what it was made from that is another now."""

    made: float  # seconds since the epoch
    differences: tuple[Difference, ...]
    is_of_another_seed: bool = False  # and then no differences are named


@dataclass(frozen=True)
class Explanation:
    """What is known of one cell or pool."""

    name: str
    what: str  # `predictions` of a cell, or `fit` of a pool
    status: str  # done, failed or waiting
    error: str | None  # why it failed
    made: float | None  # when the entry that it uses was made, in seconds since the epoch
    record: Record | None  # what that entry cost
    damage: str  # what became of an entry with its key that was damaged; empty without one
    missing: tuple[str, ...]  # the pools that it waits for and that are not fitted
    to_draw: tuple[str, ...]  # those that are fitted and not drawn
    undrawn: bool  # a fit is there, and the pool drawn from it is not
    parts: tuple[int, int]  # of a fit that is not made: how many of its parts are, and how many it has
    base_seed: int
    ran: bool = False  # whether the run in this folder has had it
    earlier: Earlier | None = None


def explain(out: Path, name: str, plugins: Plugins) -> Explanation:
    """What is known of a cell or pool of the run in `out`, and what differs from the nearest entry made before.

    name: as in cells.csv or of a folder in logs. Nothing is written.
    Raises SettingsError when the run has no such cell or pool, OutputError when `out` holds no run.
    """
    experiment, resolved = read_settings(out)
    tasks = tasks_of(experiment, int(resolved["folds"]))
    task = find_task(tasks, name, out)
    plugins.elsewhere = own_plugins(resolved)
    prepared = prepare(experiment, plugins, store_address(out, resolved), resolved.get("sources"), keep=False)
    noted = noted_cells(out) if (out / "cells.csv").exists() else {}
    done = {name for name, row in noted.items() if row["status"] == "done"}
    bench = Bench(prepared, plugins, out / LOGS)
    found = _explained(task, bench, noted.get(name, {}), out)
    cells_done = [one for one in tasks.values() if one.name in done]
    ran = any(task is one or task in one.needs for one in cells_done)
    others = {_entry_of(task, bench.keys)[1] for task in tasks.values()}  # of this very run
    return replace(found, ran=ran, earlier=_nearest(task, others, bench.keys, bench.store))


def _entry_of(task: Cell | PoolJob, keys: Keys) -> tuple[str, str]:
    """The kind and the key of what a task makes; of a pool, its fit."""
    return (PREDICTIONS, keys.predictions(task)) if isinstance(task, Cell) else (FITS, keys.fit(task))


def _explained(task: Cell | PoolJob, bench: Bench, noted: Mapping[str, str], out: Path) -> Explanation:
    store = bench.store
    kind, key = _entry_of(task, bench.keys)
    entry, damaged = store.read(kind, key), store.glance(kind, key)
    copied = entry is None and damaged is not None and _is_copied(task, out)
    if copied:
        entry = damaged
    error = None if entry else _error(task, noted, out, bench)
    no_pool = [] if entry else [job for job in task.needs if not bench.has_pool(job)]
    to_draw = [job.name for job in no_pool if bench.fit(job) is not None]
    return Explanation(
        name=task.name,
        what="predictions" if isinstance(task, Cell) else "fit",
        status="done" if entry else "failed" if error else "waiting",
        error=error,
        made=entry.made if entry else None,
        record=read_record(entry),
        damage=COPIED if copied else _damage(store, kind, key, made=entry is not None),
        parts=_parts(task, bench) if entry is None else (0, 0),
        undrawn=entry is not None and isinstance(task, PoolJob) and not bench.has_pool(task),
        missing=tuple(job.name for job in no_pool if job.name not in to_draw),
        to_draw=tuple(to_draw),
        base_seed=bench.prepared.experiment.seed,
    )


def _parts(task: Cell | PoolJob, bench: Bench) -> tuple[int, int]:
    parts = bench.parts_of(task) if isinstance(task, PoolJob) else ()
    return sum(map(bench.has_part, parts)), len(parts)


def _error(task: Cell | PoolJob, noted: Mapping[str, str], out: Path, bench: Bench) -> str | None:
    """Why a task failed: as cells.csv says, which has no pools and not yet what `work` did; of these, as logs say."""
    if noted.get("status") == "failed":
        return noted.get("error")
    return cause_of_failure(out, task, bench.prepared.parts, bench.is_fitted)


def _is_copied(task: Cell | PoolJob, out: Path) -> bool:
    """Whether the run's folder has the predictions of a cell, so that the store's entry is not needed."""
    return isinstance(task, Cell) and predictions_path(out, task).exists()


def _damage(store: Store, kind: str, key: str, *, made: bool) -> str:
    if not made and (store.has(kind, key) or store.is_set_aside(kind, key)):
        return "and will be made again"
    return "set aside and made again" if store.is_set_aside(kind, key) else ""


def _nearest(task: Cell | PoolJob, of_run: Collection[str], keys: Keys, store: Store) -> Earlier | None:
    """The entry that differs least; of several, the one made last. None if none is of this cell, with any seed.

    of_run: the keys of the run itself, which are of other cells.
    """
    compare = _Compare(keys, store)
    kind, _ = _entry_of(task, keys)
    found: tuple[tuple[float, float], Entry] | None = None
    for other in store.keys(kind):
        entry = store.glance(kind, other) if other not in of_run else None
        distance = None if entry is None else compare.distance(task, entry.inputs)
        if entry is not None and distance is not None:
            rank = (distance, -entry.made)
            found = (rank, entry) if found is None or rank < found[0] else found
    if found is None:
        return None
    (distance, _), entry = found
    if distance >= ANOTHER_REPEAT:
        return Earlier(entry.made, (), is_of_another_seed=True)
    return Earlier(entry.made, tuple(compare.differences(task, entry.inputs)))


class _Compare:
    """Compares what tasks of a run are made from now with what entries of its store were made from then."""

    def __init__(self, keys: Keys, store: Store) -> None:
        self.keys = keys
        self.store = store

    def distance(self, task: Cell | PoolJob, then: Inputs) -> float | None:
        """How much differs; None when the entry is of another plugin, fold or dose."""
        now, plugin = self._now(task)
        try:
            if then[plugin]["name"] != now[plugin]["name"] or then.get("fold") != now.get("fold"):
                return None
            if any(_shape(then[part]) != _shape(now[part]) for part in CHAINS if part in now):
                return None
            weights = {"seed": ANOTHER_REPEAT, plugin: 0, "settings": 3}
            parts = [(name, then[name], now[name]) for name in now]
            parts += [(name, then[plugin][name], now[plugin][name]) for name in now[plugin]]
            return sum(weights.get(name, 1) for name, was, is_ in parts if was != is_)
        except (KeyError, TypeError):  # another version's entry
            return None

    def differences(self, task: Cell | PoolJob, then: Inputs) -> Iterator[Difference]:
        """Every difference, in words."""
        now, plugin = self._now(task)
        yield from self._plugin(then[plugin], now[plugin], lambda: self._modules(task))
        if then.get("splits") != now.get("splits"):
            yield Difference("the division of the images differs", tuple(self._splits(then["splits"])))
        if then.get("train") != now.get("train"):
            yield Difference("the training images of its fold differ")
        if isinstance(task, Cell):
            yield from self._chain(task.pools, then["synthetic"], now["synthetic"])
            if task.on_the_fly is not None and then["on_the_fly"] != now["on_the_fly"]:
                yield self._fit(task.on_the_fly, then["on_the_fly"])
        else:
            yield from self._chain(task.needs, then["before"], now["before"])
        if then["seed"] != now["seed"]:
            yield Difference("the seed differs")
        for name in ("device", "precision"):
            if then[name] != now[name]:
                yield Difference(f"{name}: {then[name]} {WAS}, {now[name]} {IS}")

    def _now(self, task: Cell | PoolJob) -> tuple[Inputs, str]:
        if isinstance(task, Cell):
            return self.keys.inputs_of_predictions(task), "classifier"
        return self.keys.inputs_of_fit(task), "augmenter"

    def _modules(self, task: Cell | PoolJob) -> dict[str, str]:
        if isinstance(task, Cell):
            return self.keys.classifier_modules(task.arm.classifier)[1]
        return self.keys.augmenter_modules(task.augmenter)[1]

    def _plugin(self, then: Inputs, now: Inputs, modules: Modules) -> Iterator[Difference]:
        name = now["name"]
        for setting, was, is_ in changed(then["settings"], now["settings"]):
            yield Difference(f"setting {setting} of {name}: {was} {WAS}, {is_} {IS}")
        if then["files"] != now["files"]:
            yield Difference(f"a file that {name} reads has another content")
        yield from map(Difference, version_words(then["versions"], now["versions"]))
        if then["code"] != now["code"]:
            yield self._code(f"the code of {name}", then["code"], modules)

    def _code(self, whose: str, then: str, modules: Modules) -> Difference:
        entry = self.store.glance(CODE, then)
        found = module_words(entry.json(MODULES), modules()) if entry is not None else ()
        return Difference(f"{whose} changed", tuple(map(Difference, found)))

    def _chain(self, jobs: tuple[PoolJob, ...], then: list[Any], now: list[Any]) -> Iterator[Difference]:
        """What differs in the pools that a task learns from; the chains have one shape, see `distance`."""
        fits = [(was, is_) for was, is_ in zip(then, now, strict=True) if is_[0] != HELD_BACK]
        for job, (was, is_) in zip(jobs, fits, strict=True):
            if was[0] != is_[0]:
                yield self._fit(job, was[0])
            if was[2:] != is_[2:]:
                yield Difference("the seed of its shuffled labels differs")
        if [part for part in then if part[0] == HELD_BACK] != [part for part in now if part[0] == HELD_BACK]:
            yield Difference("the seed of the real images that are held back differs")

    def _fit(self, job: PoolJob, then: str) -> Difference:
        inputs = self._inputs(FITS, then)
        if not inputs:
            return Difference(f"the fit of {job.name} differs; the earlier one is not in the store any more")
        if inputs["augmenter"]["name"] != job.augmenter.partition("[")[0]:
            return Difference(f"the augmenter: {inputs['augmenter']['name']} {WAS}, {job.augmenter} {IS}")
        return Difference(f"the fit of {job.name} differs", tuple(self.differences(job, inputs)))

    def _splits(self, then: str) -> Iterator[Difference]:
        was, is_ = self._inputs(SPLITS, then), self.keys.prepared.splits_inputs
        if not was:
            return
        if was["of"] != is_["of"]:
            yield Difference("the images differ", tuple(self._images(was["of"])))
        for name, words in (("split", "the split"), ("validation", "the share of validation images")):
            if was[name] != is_[name]:
                yield Difference(f"{words}: {was[name]} {WAS}, {is_[name]} {IS}")
        if was["seed"] != is_["seed"]:
            yield Difference("the seed of the division differs")
        both = [{"scikit-learn": one["scikit-learn"]} for one in (was, is_)]
        yield from map(Difference, version_words(*both))
        if was["code"] != is_["code"]:
            yield self._code("the code that divides", was["code"], lambda: module_digests(SPLITTING))

    def _images(self, then: str) -> Iterator[Difference]:
        was, is_ = self._inputs(DATASETS, then), self.keys.prepared.dataset_inputs
        if not was:
            return
        if was["dataset"]["name"] != is_["dataset"]["name"]:
            yield Difference(f"the dataset: {was['dataset']['name']} {WAS}, {is_['dataset']['name']} {IS}")
            return
        dataset = self.keys.plugins.dataset(self.keys.prepared.experiment.dataset)
        yield from self._plugin(was["dataset"], is_["dataset"], lambda: modules_behind(dataset))
        if was["sources"] != is_["sources"]:
            yield Difference("files of the data were changed, added or removed")

    def _inputs(self, kind: str, key: str) -> Inputs:
        entry = self.store.glance(kind, key)
        return {} if entry is None else entry.inputs


def _shape(chain: list[Any] | str | None) -> object:
    """What of a chain makes it another arm: how many links, their doses, and whether labels are shuffled."""
    if not isinstance(chain, list):
        return chain is None
    return [part[:2] if part[0] == HELD_BACK else (part[1], len(part)) for part in chain]


def changed(then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Every name whose value differs, with the value then and now; one that is not there is None."""
    for name in sorted(then.keys() | now.keys()):
        if then.get(name) != now.get(name):
            yield name, then.get(name), now.get(name)


def version_words(then: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    """Every library whose version differs, in words."""
    for name, was, is_ in changed(then, now):
        yield f"version of {name}: {was or 'not needed'} {WAS}, {is_ or 'not needed'} {IS}"


def module_words(then: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    """Every module whose code differs, in words."""
    for name, was, is_ in changed(then, now):
        yield f"{name} " + ("is new" if was is None else "is gone" if is_ is None else "changed")
