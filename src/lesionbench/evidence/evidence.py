"""All tables of evidence of a run, computed from its stored predictions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lesionbench.errors import NotKnown
from lesionbench.evidence.statistics.scores import arm_scores
from lesionbench.evidence.tables.calibration import CALIBRATION_COLUMNS, calibration_rows
from lesionbench.evidence.tables.comparisons import COMPARISONS_COLUMNS, comparison_rows, find_baselines, letters
from lesionbench.evidence.tables.dose_response import (
    CHOICE_COLUMNS,
    CURVE_COLUMNS,
    DOSE_COLUMNS,
    choice_row,
    curves,
    dose_rows,
)
from lesionbench.evidence.tables.exchange import EXCHANGE_COLUMNS, exchange_rows
from lesionbench.evidence.tables.intervals import (
    INTERVAL_COLUMNS,
    INTERVALS_COLUMNS,
    SPREAD_COLUMNS,
    draws_of,
    interval_rows,
    with_intervals,
)
from lesionbench.evidence.tables.operating_points import OPERATING_COLUMNS, operating_rows
from lesionbench.evidence.tables.variance import VARIANCE_COLUMNS, variance_rows
from lesionbench.pipeline.arm import ARM_COLUMNS, ArmKey
from lesionbench.pipeline.leaderboard import COLUMNS, leaderboard

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lesionbench.evidence.statistics.scores import ArmScores
    from lesionbench.evidence.tables.comparisons import Judging
    from lesionbench.evidence.tables.dose_response import Curve
    from lesionbench.evidence.tables.operating_points import Target
    from lesionbench.pipeline.context import Precision
    from lesionbench.pipeline.leaderboard import ArmResult, Row

VERDICT_COLUMNS = ("verdict", "tie_group")
LEADERBOARD_COLUMNS = (*COLUMNS, *INTERVAL_COLUMNS, *SPREAD_COLUMNS, *VERDICT_COLUMNS, "computed_in")
TABLE_COLUMNS = {
    "leaderboard": LEADERBOARD_COLUMNS,
    "intervals": (*ARM_COLUMNS, *INTERVALS_COLUMNS),
    "comparisons": (*ARM_COLUMNS, *COMPARISONS_COLUMNS),
    "dose_response": (*ARM_COLUMNS, *DOSE_COLUMNS),
    "dose_choice": (*CURVE_COLUMNS, *CHOICE_COLUMNS),
    "exchange": (*(name for name in ARM_COLUMNS if name != "synthetic_per_class"), *EXCHANGE_COLUMNS),
    "operating_points": OPERATING_COLUMNS,
    "calibration": CALIBRATION_COLUMNS,
    "variance": VARIANCE_COLUMNS,
}


@dataclass(frozen=True)
class Evidence:
    """The rows of every table by its name in TABLE_COLUMNS, and the curves from which the dose-response is drawn."""

    rows: dict[str, list[Row]]
    curves: list[Curve]


def gather_evidence(
    results: Sequence[ArmResult], judging: Judging, operating_point: float, precision: Precision
) -> Evidence:
    """All tables of a run, whose networks computed in this precision.

    Raises OutputError if arms were tested on different images.
    """
    board: list[Row] = [{**row, "computed_in": precision} for row in leaderboard(results)]
    arms, validation = arm_scores(results), arm_scores(results, "validation")
    draws = draws_of(arms)
    intervals = interval_rows(arms, board, draws)
    baselines = find_baselines(arms, judging.baseline)
    compared = comparison_rows(arms, baselines, judging, draws)
    of_doses = _curves(arms, validation, judging.judged_by)
    of_curves = [dose_rows(curve, judging.margin) for curve in of_doses]
    return Evidence(
        {
            "leaderboard": _judged(with_intervals(board, intervals), arms, compared, judging),
            "intervals": intervals,
            "comparisons": compared,
            "dose_response": [row for rows in of_curves for row in rows],
            "dose_choice": [
                choice_row(curve, rows, judging.margin) for curve, rows in zip(of_doses, of_curves, strict=True)
            ],
            "exchange": exchange_rows(arms, judging.judged_by),
            "operating_points": operating_rows(arms, validation, _targets(operating_point)),
            "calibration": calibration_rows(arms),
            "variance": variance_rows(arms, judging.judged_by),
        },
        of_doses,
    )


def _targets(rate: float) -> tuple[Target, ...]:
    """Sensitivity at this specificity, and specificity at this sensitivity."""
    return (("specificity", rate), ("sensitivity", rate))


def _curves(arms: Sequence[ArmScores], validation: Sequence[ArmScores], metric: str) -> list[Curve]:
    try:
        return curves(arms, validation, metric)
    except NotKnown:  # the metric is not defined on these images; the intervals' table says why
        return []


def _judged(board: list[Row], arms: Sequence[ArmScores], compared: Sequence[Row], judging: Judging) -> list[Row]:
    """The leaderboard with every arm's verdict and tie group."""
    verdicts = {ArmKey.of(row): row["verdict"] for row in compared}
    ties = dict(zip((one.arm for one in arms), letters(arms, judging.judged_by), strict=True))
    judged = []
    for row in board:
        arm = ArmKey.of(row)
        verdict = verdicts.get(arm, "baseline" if arm.name == judging.baseline else "")
        judged.append({**row, "verdict": verdict, "tie_group": ties.get(arm, "")})
    return judged
