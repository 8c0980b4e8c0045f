"""Recalibration: the logistic regression of what is true on the logit of the score (Cox 1958)."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Recalibration:
    """Calibrated scores have slope 1, intercept 0 and in-the-large 0; None where the fit does not exist, and why.

    slope below 1: scores too extreme.  slope and intercept are fitted together; in_the_large is the intercept at
    slope 1: above 0, scores are too low on the whole.
    """

    slope: float | None
    intercept: float | None
    in_the_large: float | None
    reason: str | None


def recalibration(true: NDArray[np.bool_], score: NDArray[np.float64], epsilon: float) -> Recalibration:
    """The fits to N scores; true (N,): whether what each score says is so. Scores are clipped to epsilon from 0 and 1.

    Both fits exist, and are unique, exactly when the reasons below do not hold (Albert & Anderson 1984).
    """
    if true.all() or not true.any():
        return Recalibration(None, None, None, f"a fit needs both outcomes, but all {len(true)} are the same")
    clipped = np.clip(score, epsilon, 1 - epsilon)
    logit = np.log(clipped / (1 - clipped))
    in_the_large = _fit(true, np.ones((len(true), 1)), logit)
    level = None if in_the_large is None else in_the_large[0]
    if logit.min() == logit.max():
        return Recalibration(None, None, level, "a slope needs scores that differ, but all are the same")
    if _separated(true, logit):
        return Recalibration(None, None, level, "the scores separate the outcomes, so the slope has no finite value")
    both = _fit(true, np.column_stack([np.ones(len(true)), logit]), None)
    if both is None or level is None:
        return Recalibration(None, None, level, "the logistic fit did not converge")
    return Recalibration(both[1], both[0], level, None)


def _separated(true: NDArray[np.bool_], logit: NDArray[np.float64]) -> bool:
    """Whether one cut has all of one outcome on it or above and all of the other on it or below."""
    yes, no = logit[true], logit[~true]
    return bool(no.max() <= yes.min() or yes.max() <= no.min())


def _fit(
    true: NDArray[np.bool_], design: NDArray[np.float64], offset: NDArray[np.float64] | None
) -> list[float] | None:
    """The coefficients of the logistic regression, or None when it did not converge."""
    from statsmodels.genmod.families import Binomial
    from statsmodels.genmod.generalized_linear_model import GLM

    model: Any = GLM(true.astype(float), design, family=Binomial(), offset=offset)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what they would say is read off the result
        fitted = model.fit(maxiter=200)
    values = [float(value) for value in fitted.params]
    return values if fitted.converged and np.isfinite(values).all() else None
