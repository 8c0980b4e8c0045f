"""`lesionbench.plan`: what a run would do, how long it takes, and what the test images can show."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from html import escape
from typing import TYPE_CHECKING

import pandas as pd

from lesionbench.api.request import Settings, as_list, given_address, given_folder, listed, understand
from lesionbench.api.run_folder import Run
from lesionbench.experiment.plan import plan_experiment
from lesionbench.experiment.plan_power import power_request
from lesionbench.experiment.session import Place
from lesionbench.plain_text import visible
from lesionbench.report.plan import plan_lines

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from typing_extensions import Unpack

    from lesionbench.api.images import ArrayImages
    from lesionbench.experiment.plan import Plan
    from lesionbench.pipeline.dataset import Dataset


@dataclass(frozen=True, repr=False)
class RunPlan:
    """What a run would do. Printed, it is what `lesionbench plan` says."""

    found: Plan

    def __repr__(self) -> str:
        return visible("\n".join(plan_lines(self.found)))

    def _repr_html_(self) -> str:
        return f"<pre>{escape(repr(self))}</pre>"

    @property
    def cells(self) -> pd.DataFrame:
        """Every cell of the run: arm, classifier, fold, seed, and whether it is done."""
        done = [(cell, True) for cell in self.found.cells_done] + [(cell, False) for cell in self.found.cells_to_do]
        rows = [(cell.arm.name, cell.arm.classifier, cell.fold, cell.seed, is_done) for cell, is_done in done]
        frame = pd.DataFrame(rows, columns=["arm", "classifier", "fold", "seed", "done"])
        return frame.astype(
            {"arm": "string", "classifier": "string", "fold": "Int64", "seed": "Int64", "done": "boolean"}
        )

    @property
    def seconds(self) -> float:
        """About how long the rest takes, as far as the plugins in it have been timed; see `never_timed`."""
        return self.found.seconds

    @property
    def never_timed(self) -> list[str]:
        """The plugins that have never been timed here; `measure=True` times a few steps of each."""
        return self.found.never_timed

    @property
    def power(self) -> pd.DataFrame:
        """The smallest difference that would show, for each rate and discordance, as shares.

        difference: if every test image counts once; difference_by_group: if every group does, the cautious bound.
        arm: whose discordance it is, with `like`.
        """
        rows = [
            (row.arm, *astuple(row.side), row.discordance, row.difference, row.difference_by_group)
            for row in self.found.power.rows
        ]
        texts, counts = ["arm", "rate", "class"], ["images", "groups"]
        numbers = ["discordance", "difference", "difference_by_group"]
        dtypes = {
            **dict.fromkeys(texts, "string"),
            **dict.fromkeys(counts, "Int64"),
            **dict.fromkeys(numbers, "float64"),
        }
        return pd.DataFrame(rows, columns=[*texts, *counts, *numbers]).astype(dtypes)


def plan(
    dataset: str | Dataset | ArrayImages = "skin-phantom",
    data: str | Path | None = None,
    *,
    out: str | Path | None = None,
    store: str | Path | None = None,
    jobs: int | str | None = None,
    measure: bool = False,
    discordance: float | Sequence[float] | None = None,
    like: str | Path | Run | None = None,
    **settings: Unpack[Settings],
) -> RunPlan:
    """What `lesionbench.run` with the same settings would do; nothing is run and nothing is written.

    measure: time a few steps of every plugin that has never been timed.
    discordance: of the test images, the share on which exactly one of two arms is right; by default 0.1, 0.2 and 0.3.
    like: a finished run from which the discordance of each arm with its baseline is taken instead.
    Raises InputError when the arguments are wrong.
    """
    request = understand(dataset, data, settings)
    of_run = like.folder if isinstance(like, Run) else given_folder("like", like)
    shares = None if discordance is None else as_list(listed(discordance))
    wanted = power_request(shares, of_run)
    place = Place(request.folder(out), given_address(store), jobs)
    with request.readable() as experiment:
        return RunPlan(plan_experiment(request.plugins, experiment, place, wanted, measure=measure))
