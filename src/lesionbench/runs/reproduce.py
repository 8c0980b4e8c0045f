"""Running an experiment again, elsewhere or later, and comparing what comes out, byte for byte."""

from __future__ import annotations

import csv
import math
import shlex
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from lesionbench.errors import ANOTHER_OUT, OutputError
from lesionbench.experiment.environment import differences, environment_here, read_environment
from lesionbench.experiment.output import SETTINGS, read_settings, store_address
from lesionbench.experiment.prepare import prepare
from lesionbench.experiment.results import noted_cells, read_results, table_rows
from lesionbench.experiment.session import run_experiment
from lesionbench.experiment.settings import own_plugins
from lesionbench.given_files import reason
from lesionbench.pipeline.arm import ArmKey
from lesionbench.pipeline.predictions import PARTS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lesionbench.experiment.environment import Differences
    from lesionbench.experiment.results import Results
    from lesionbench.experiment.runner import View
    from lesionbench.experiment.session import Place
    from lesionbench.experiment.settings import Experiment
    from lesionbench.plugins import Plugins

LEADERBOARD = "leaderboard.csv"
THEN_AND_HERE = ("then", "here")

Numbers = dict[ArmKey, dict[str, str]]  # the rows of a leaderboard


@dataclass(frozen=True)
class OtherCell:
    """A cell whose predictions differ."""

    name: str
    apart: float | None  # the largest difference of two scores; None where there are no predictions to compare


@dataclass(frozen=True)
class Reproduced:
    """What came of running an experiment again."""

    out: Path
    compared: int  # cells that were done the first time
    left_out: int  # cells that were not
    kept: int  # cells of an earlier attempt in the same folder, which were not run again
    others: tuple[OtherCell, ...]
    numbers: dict[str, float]  # the metrics of the leaderboard that differ, with their largest differences

    @property
    def is_identical(self) -> bool:
        """Whether every prediction and every number of the leaderboard is the same."""
        return not self.others and not self.numbers


def check_environment(run: Path, plugins: Plugins, data: Path | None = None) -> Differences:
    """What differs between the environment that the run was made with and this one; writes nothing.

    data: the folder of the images where it is not that of the run.
    Raises OutputError when the images are others, DatasetError when they are not there, SettingsError when a plugin is
    not installed.
    """
    experiment, resolved = _experiment(run, plugins, data)
    then = read_environment(run)
    prepared = prepare(experiment, plugins, store_address(run, resolved), resolved.get("sources"), keep=False)
    return differences(then, environment_here(prepared, plugins), THEN_AND_HERE)


def reproduce(run: Path, place: Place, plugins: Plugins, view: View, data: Path | None = None) -> Reproduced:
    """Run the experiment in `run` again in another place, which has its own store, and compare the results.

    An earlier attempt in `place.out` is gone on with. Raises InputError before anything is written.
    """
    before = read_results(run)
    if not before.found:
        raise OutputError(f"no cell is done in {run}, so there is nothing to compare with")
    if place.out.resolve().is_relative_to(run.resolve()):
        raise OutputError(f"the experiment is run again outside of {run}, not in {place.out}", ANOTHER_OUT)
    numbers = _numbers(run, before)
    experiment, _ = _experiment(run, plugins, data)
    place = replace(place, store=str(place.out / "store"), file=run / SETTINGS)
    finished = run_experiment(plugins, experiment, place, view)
    return Reproduced(
        out=place.out,
        compared=len(before.found),
        left_out=len(before.grid) - len(before.found),
        kept=finished.cells_before,
        others=tuple(_other_cells(run, before, place.out)),
        numbers=_other_numbers(numbers, _numbers(place.out, before)),
    )


def _experiment(run: Path, plugins: Plugins, data: Path | None) -> tuple[Experiment, dict[str, Any]]:
    """The experiment of a run, on the CPU if it ran there, and what the run resolved."""
    experiment, resolved = read_settings(run)
    plugins.elsewhere = own_plugins(resolved)
    changes: dict[str, Any] = {} if data is None else {"data": data}
    if resolved.get("device") == "cpu":
        changes |= {"device": "cpu", "precision": resolved["precision"]}
    return experiment.model_copy(update=changes), resolved


def _other_cells(run: Path, before: Results, out: Path) -> Iterator[OtherCell]:
    """The cells whose predictions are not the same bytes."""
    after, noted = read_results(out), (noted_cells(run), noted_cells(out))
    for name, parts in before.found.items():
        if name not in after.found:
            yield OtherCell(name, None)
        elif noted[0][name]["predictions_sha256"] != noted[1][name]["predictions_sha256"]:
            pairs = [(parts[part].scores, after.found[name][part].scores) for part in PARTS]
            same_shape = all(one.shape == other.shape for one, other in pairs)
            yield OtherCell(name, max(float(abs(one - other).max()) for one, other in pairs) if same_shape else None)


def _other_numbers(then: Numbers, here: Numbers) -> dict[str, float]:
    """The columns of the leaderboards that differ, with their largest differences; infinite where one has no number."""
    found: dict[str, float] = {}
    for arm, one in then.items():
        other = here[arm]  # the same experiment has the same arms
        for column in one.keys() & other.keys():
            if one[column] != other[column]:
                found[column] = max(found.get(column, 0.0), _apart(one[column], other[column]))
    return dict(sorted(found.items()))


def _numbers(out: Path, results: Results) -> Numbers:
    """The rows of the leaderboard in `out` by arm; raises OutputError unless it has one for each arm."""
    path = out / LEADERBOARD
    try:
        rows = table_rows(path)
        found = {ArmKey.of(row): row for row in rows}
        if found.keys() != {arm.arm for arm in results.arms()}:
            raise ValueError("its arms are not those of the run")
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise OutputError(
            f"{path} is not the leaderboard of that run ({reason(error)}); type: lesionbench leaderboard "
            f"{shlex.quote(str(out))}"
        ) from None
    return found


def _apart(one: str, other: str) -> float:
    try:
        return abs(float(one) - float(other))
    except ValueError:
        return math.inf
