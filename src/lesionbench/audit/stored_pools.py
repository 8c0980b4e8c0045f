"""The synthetic images that the finished cells of a run were trained on, read again from its store."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from lesionbench.errors import DatasetError, OutputError, Try
from lesionbench.experiment.bench import LOGS, Bench
from lesionbench.experiment.chain import held_back
from lesionbench.experiment.output import SETTINGS, store_address
from lesionbench.experiment.prepare import prepare
from lesionbench.experiment.results import read_results
from lesionbench.experiment.settings import own_plugins

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lesionbench.experiment.grid import PoolJob
    from lesionbench.experiment.prepare import Prepared
    from lesionbench.experiment.results import Results
    from lesionbench.pipeline.images import LabelledImages
    from lesionbench.pipeline.training_set import Pool
    from lesionbench.plugins import Plugins


@dataclass(frozen=True, eq=False)
class StoredPool:
    """One pool, and real images to compare it with.

    train: the real images that its augmenter learned from; pools of one fold share the object.
    validation: the fold's validation images, which no augmenter saw.
    """

    job: PoolJob
    pool: Pool
    train: LabelledImages
    validation: LabelledImages


def stored_pools(out: Path, plugins: Plugins) -> Iterator[StoredPool]:
    """Every pool that a finished cell of the run in `out` used, fold by fold; loaded one at a time.

    Raises OutputError, before the first is loaded, if there are none or some are no longer in the store.
    """
    results = read_results(out)
    jobs = _used_pools(out, results)
    bench = bench_of_run(out, results, plugins)
    missing = [job for job in jobs if not bench.has_pool(job)]
    if missing:
        raise _missing_error(out, bench.prepared, missing, len(jobs))
    return _loaded(out, sorted(jobs, key=_by_fold), bench)


def _used_pools(out: Path, results: Results) -> list[PoolJob]:
    """The pools that the finished cells used; raises OutputError if there are none."""
    if not any(cell.pools for cell in results.grid):
        raise OutputError(
            f"{out} holds no synthetic images: its only arm is the baseline",
            Try("run it with {augmenters} first", augmenters="NAME"),
        )
    done = [cell for cell in results.grid if cell.name in results.found]
    jobs = list(dict.fromkeys(job for cell in done for job in cell.pools))
    if not jobs:
        raise OutputError(f"no cell with synthetic images is finished in {out}; type: lesionbench run {out / SETTINGS}")
    return jobs


def bench_of_run(out: Path, results: Results, plugins: Plugins) -> Bench:
    """The bench of the experiment as it was run, on whatever device that was: a key is looked up, nothing is fitted."""
    resolved: Any = results.resolved
    store = store_address(out, resolved)
    experiment = results.experiment
    plugins.elsewhere = own_plugins(resolved)
    try:
        prepared = prepare(
            experiment.model_copy(update={"device": "cpu"}), plugins, store, resolved.get("sources"), keep=False
        )
    except DatasetError as error:
        raise OutputError(
            f"the images that the run in {out} used are not there ({error.message})",
            Try(f"name their folder: lesionbench run {out / SETTINGS} {{data}}", data="DIR"),
        ) from None
    as_run = replace(
        prepared,
        experiment=experiment,
        device=resolved.get("device", prepared.device),
        precision=resolved.get("precision", prepared.precision),
    )
    return Bench(as_run, plugins, out / LOGS)


def _missing_error(out: Path, prepared: Prepared, missing: list[PoolJob], total: int) -> OutputError:
    return OutputError(
        f"{len(missing)} of {total} pools of synthetic images (such as {missing[0].name}) are not in {prepared.store}: "
        "it was removed, or a plugin or library is another than in the run",
        _run_again(out),
    )


def _run_again(out: Path) -> Try:
    """How to make pools of a run again: in its own folder, the finished cells need none."""
    return Try(
        f"make the run again in a new folder, and audit that: lesionbench run {out / SETTINGS} {{out}}",
        out=f"{out}-again",
    )


def _by_fold(job: PoolJob) -> tuple[int, int, int]:
    per_class = held_back(job.before)
    return job.fold, per_class, job.seed if per_class else 0


def _loaded(out: Path, jobs: list[PoolJob], bench: Bench) -> Iterator[StoredPool]:
    fold, split = None, None
    for job in jobs:
        pool = bench.kept_pool(job)
        if pool is None:
            raise OutputError(f"the pool {job.name} in {bench.prepared.store} is damaged", _run_again(out))
        if split is None or fold != _by_fold(job):
            fold, split = _by_fold(job), bench.split_of(job)
        yield StoredPool(job, pool, split.train, split.validation)
