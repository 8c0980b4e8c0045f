"""The dose-response figure, with a panel for each augmenter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lesionbench.pictures.drawing import plain, save_figure

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


@dataclass(frozen=True)
class DosePlot:
    """One augmenter's metric at its doses, and the fitted curve with its confidence band at many doses in between."""

    name: str
    metric: str
    doses: Sequence[int]
    estimates: Sequence[float]
    ends: Sequence[tuple[float, float]]  # of the interval of every estimate
    at: Sequence[float]  # the doses of `fitted` and `band`
    fitted: Sequence[float]
    band: Sequence[tuple[float, float]]


def save_dose_plots(path: Path, plots: Sequence[DosePlot]) -> None:
    """Write a PNG with a panel for each plot, one below the other; the dose axis is logarithmic but contains 0.

    Without plots, writes no file and removes an old one.
    """
    path.unlink(missing_ok=True)
    if not plots:
        return
    from matplotlib.figure import Figure  # slow to import, so imported only to draw curves

    inches = 0.6 + 3.2 * len(plots)
    figure = Figure(figsize=(8.0, inches), dpi=100)  # matplotlib's own layouts draw every text twice
    figure.subplots_adjust(left=0.12, right=0.98, bottom=0.55 / inches, top=1 - 0.35 / inches, hspace=0.25)
    for axes, plot in zip(figure.subplots(len(plots), 1, squeeze=False)[:, 0], plots, strict=True):
        axes.fill_between(plot.at, *zip(*plot.band, strict=True), alpha=0.2, linewidth=0)
        axes.plot(plot.at, plot.fitted, linewidth=1.0, label="fitted, with its 95% band")
        below = [estimate - low for estimate, (low, _) in zip(plot.estimates, plot.ends, strict=True)]
        above = [high - estimate for estimate, (_, high) in zip(plot.estimates, plot.ends, strict=True)]
        axes.errorbar(
            plot.doses, plot.estimates, [below, above], fmt="o", markersize=4, linewidth=0.8, label="measured"
        )
        axes.set_xscale("symlog", linthresh=min(dose for dose in plot.doses if dose))
        axes.set_xticks(plot.doses, [str(dose) for dose in plot.doses])
        axes.minorticks_off()
        plain([axes.set_title(plot.name), axes.set_ylabel(plot.metric.replace("_", " "))])
        axes.legend(loc="best", fontsize="small")
    axes.set_xlabel("synthetic images per class")
    save_figure(figure, path)
