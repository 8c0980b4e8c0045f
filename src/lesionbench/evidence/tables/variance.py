"""Where the variance of a metric comes from (test images, folds, seeds), and which seeds or folds to add next."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lesionbench.errors import NotKnown
from lesionbench.evidence.statistics.influence import influence_of
from lesionbench.evidence.statistics.nested import Component, components
from lesionbench.pipeline.arm import ARM_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lesionbench.evidence.statistics.scores import ArmScores
    from lesionbench.pipeline.leaderboard import Repeat, Row

VARIANCE_COLUMNS = (
    *ARM_COLUMNS,
    "metric",
    "component",
    "levels",
    "variance",
    "sd",
    "low",
    "high",
    "share",
    "advice",
    "reason",
)
IMAGES, FOLD, AUGMENTER, CLASSIFIER, MEAN = "test images", "fold", "augmenter seed", "classifier seed", "mean"
MATTERS = 0.01  # a smaller relative reduction of the standard error is not worth a cell


@dataclass(frozen=True)
class Source:
    """One source of variance: its names (several if they cannot be separated), its number of levels, and its variance.

    each: how many independent draws of it the mean is taken over.  component: None if there was only one draw.
    """

    names: tuple[str, ...]
    levels: int
    each: int
    component: Component | None
    known: float = 0.0  # a variance that was subtracted: the test images' part of the fold's

    @property
    def variance(self) -> float:
        """The estimate, at least 0; also 0 if it is unknown."""
        return max(self.component.variance - self.known, 0.0) if self.component else 0.0

    @property
    def name(self) -> str:
        """Such as `augmenter and classifier seed`."""
        if self.names == (AUGMENTER, CLASSIFIER):
            return "augmenter and classifier seed"
        return " and ".join(self.names)


@dataclass(frozen=True)
class Decomposition:
    """The sources of variance of one arm's metric; the mean is over folds and repeats."""

    images: float  # of one fold's metric
    folds: int
    sources: list[Source]
    augmented: bool
    left_out: int  # repeats left out so that all seeds have the same number of classifier seeds

    def variance_of_mean(self, divisions: int = 1, seeds: int = 0, classifier_seeds: int = 0) -> float:
        """The variance of the mean with `divisions` divisions into folds and this many additional seeds.

        Another division does not change which images are tested, so the part of the images stays the same.
        """
        each, total = divisions, self.images / self.folds
        for source in self.sources:
            more = seeds if self._is_seed(source) else classifier_seeds if source.names == (CLASSIFIER,) else 0
            each *= source.levels + more
            total += source.variance / each
        return total

    def _is_seed(self, source: Source) -> bool:
        """Whether an additional seed is an additional draw of this source."""
        return source.names[0] == (AUGMENTER if self.augmented else CLASSIFIER)

    def known(self, name: str) -> bool:
        """Whether the outermost name of a source is this one, and its variance is known."""
        return any(source.names[0] == name and source.component for source in self.sources)


def variance_rows(arms: Sequence[ArmScores], metric: str) -> list[Row]:
    """One row for each component of each arm, with the VARIANCE_COLUMNS; `mean` has the standard error and the advice.

    Variances are text with three significant digits, because they would vanish in the four decimals of a table.

    metric: one of the METRICS, of each fold's test images.
    """
    return [row for one in arms for row in _rows(one, metric)]


def _rows(one: ArmScores, metric: str) -> list[Row]:
    blank: Row = dict.fromkeys(VARIANCE_COLUMNS)
    blank |= {**one.arm.row(), "metric": metric}
    try:
        found = decompose(one, metric)
    except NotKnown as unknown:
        return [blank | {"component": MEAN, "reason": str(unknown)}]
    total = found.images + sum(source.variance for source in found.sources)
    rows = [_image_row(found, total), *(_source_row(source, found, total) for source in found.sources)]
    rows.append(_mean_row(found))
    return [blank | row for row in rows]


def decompose(one: ArmScores, metric: str) -> Decomposition:
    """The components of one arm's metric; raises NotKnown if a fold has none."""
    wrong = int((~np.isfinite(one.scores)).sum())
    if wrong:
        raise NotKnown(f"scores must be finite, but {wrong} of them are not")
    of_folds = [fold_metric(one, fold, metric) for fold in np.unique(one.folds).tolist()]
    chosen = balanced(one.repeats)  # (S, C)
    table = np.stack([values[chosen] for values, _ in of_folds])  # (F, S, C)
    influence = [values[chosen].mean(axis=1) for _, values in of_folds]  # (S, G) each
    augmented = one.arm.changes_batches or not one.role.is_baseline
    if not augmented:  # without an augmenter, a seed is a classifier seed too
        table = table.reshape(len(of_folds), -1)
        influence = [values[chosen.ravel()] for _, values in of_folds]
    images = float(np.mean([image_variance(of_fold) for of_fold in influence]))
    sources = _sources(table, images, augmented)
    return Decomposition(images, len(of_folds), sources, augmented, len(one.repeats) - chosen.size)


def fold_metric(one: ArmScores, fold: int, metric: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The metric of one fold's test images in each repeat, (R,), and the influence of each of its groups, (R, G).

    Raises NotKnown when the fold lacks a class or has too few groups of it.
    """
    part = one.of_fold(fold)
    try:
        found = influence_of(metric, part)
    except NotKnown as unknown:
        raise NotKnown(f"fold {fold}: {unknown}") from None
    groups, group = np.unique(part.groups, return_inverse=True)
    return found.estimates, found.values @ np.eye(len(groups))[group]


def image_variance(influence: NDArray[np.float64]) -> float:
    """The variance of a metric due to the choice of test images, without the part that the seeds add.

    influence: (S, G), of a fold's G groups with S seeds. With several seeds it is the mean covariance between two
    seeds, so that noise of single seeds does not count; with one seed it is the variance. Never below 0.
    """
    seeds = len(influence)
    own = float((influence**2).sum())
    if seeds == 1:
        return own
    of_mean = float((influence.sum(axis=0) ** 2).sum())
    return max((of_mean - own) / (seeds * (seeds - 1)), 0.0)


def balanced(repeats: Sequence[Repeat]) -> NDArray[np.int64]:
    """Positions (S, C) of as many repeats as possible with the same number of classifier seeds for every seed."""
    of_seed: dict[int, list[int]] = {}
    for position, (seed, _) in sorted(enumerate(repeats), key=lambda item: item[1]):
        of_seed.setdefault(seed, []).append(position)
    counts = Counter(len(positions) for positions in of_seed.values())
    most = max(counts, key=lambda each: (each * sum(counts[more] for more in counts if more >= each), each))
    return np.array([positions[:most] for positions in of_seed.values() if len(positions) >= most])


def _sources(table: NDArray[np.float64], images: float, augmented: bool) -> list[Source]:
    """The levels of the table, outermost first; a level with a single draw is joined with the one around it."""
    names = (FOLD, AUGMENTER, CLASSIFIER) if augmented else (FOLD, CLASSIFIER)
    levels: list[tuple[tuple[str, ...], int]] = []
    for name, count in zip(names, table.shape, strict=True):
        if count == 1 and levels and levels[-1][1] > 1:
            levels[-1] = ((*levels[-1][0], name), levels[-1][1])
        else:
            levels.append(((name,), count))
    several = [count for _, count in levels if count > 1]
    estimates = iter(components(table.reshape(several)) if several else [])
    sources, each = [], 1
    for group, count in levels:
        each *= count
        known = images if group[0] == FOLD else 0.0
        sources.append(Source(group, count, each, next(estimates) if count > 1 else None, known))
    return sources


def _image_row(found: Decomposition, total: float) -> Row:
    return {
        "component": IMAGES,
        "levels": found.folds,
        "variance": f"{found.images:.3g}",
        "sd": math.sqrt(found.images),
        "share": found.images / total if total else None,
        "reason": "from the images of each fold, not from replicates, so it has no interval"
        if total
        else "every value is the same",
    }


def _source_row(source: Source, found: Decomposition, total: float) -> Row:
    row: Row = {"component": source.name, "levels": source.levels}
    if source.component is None:
        return row | {"reason": _unknown(source.names[0], found.augmented)}
    return row | {
        "variance": f"{source.variance:.3g}",
        "sd": math.sqrt(source.variance),
        "low": math.sqrt(max(source.component.low - source.known, 0.0)),
        "high": math.sqrt(max(source.component.high - source.known, 0.0)),
        "share": source.variance / total if total else None,
        "reason": "; ".join(_remarks(source, total)) or None,
    }


def _unknown(name: str, augmented: bool) -> str:
    if name == FOLD:
        return "there is one fold, so what other training images would do is not known; --split 5 makes five"
    more = "--classifier-seeds 2" if name == CLASSIFIER and augmented else "--seeds 3"
    return f"there is one {name}, so what another would do is not known; run with {more}"


def _remarks(source: Source, total: float) -> list[str]:
    assert source.component is not None
    remarks = []
    if not total:
        remarks.append("every value is the same")
    elif source.component.variance < source.known:
        remarks.append("the estimate was negative and is set to 0: no more was seen than chance within it makes")
    if source.names[-2:] == (AUGMENTER, CLASSIFIER):
        remarks.append("one classifier seed a seed does not part the two; run with --classifier-seeds 2")
    if source.names[0] == FOLD and len(source.names) > 1:
        remarks.append("one seed a fold does not part fold and seed; run with --seeds 3")
    return remarks


def _mean_row(found: Decomposition) -> Row:
    variance = found.variance_of_mean()
    cells = found.sources[-1].each
    row: Row = {"component": MEAN, "levels": cells, "variance": f"{variance:.3g}", "sd": math.sqrt(variance)}
    row["advice"] = advice(found)
    if found.left_out:
        repeats = cells // found.folds + found.left_out
        row["reason"] = (
            f"every seed must have as many classifier seeds, so {found.left_out} of {repeats} repeats are left out"
        )
    return row


def advice(found: Decomposition) -> str:
    """Which seeds or folds to add next, in one or two sentences: the standard error that each would give."""
    now = found.variance_of_mean()
    offers = _offers(found)
    images = math.sqrt(found.images / found.folds)
    parts = [f"standard error {math.sqrt(now):.4f}, of which {images:.4f} from the test images"]
    if not offers:
        return f"{parts[0]}; what seeds do is not known from one: run with --seeds 3"
    best, _, variance = max(offers, key=lambda offer: (now - offer[2]) / offer[1])
    if math.sqrt(variance) > (1 - MATTERS) * math.sqrt(now):
        parts.append("no replicate would cut it by more than 1%: only more test images would")
    else:
        effects = [
            f"{name} ({cells} cell{'s' * (cells > 1)}) would cut it to {math.sqrt(new):.4f}"
            for name, cells, new in offers
        ]
        parts.append(", ".join(effects))
        parts += [f"for its cells {best} buys most"] if len(offers) > 1 else []
    return "; ".join(parts)


def _offers(found: Decomposition) -> list[tuple[str, int, float]]:
    """What can be added: its name, the number of cells, and the variance of the mean with it."""
    size = found.sources[-1].each
    offers = []
    if found.known(AUGMENTER if found.augmented else CLASSIFIER):
        seeds = next(source for source in found.sources if found._is_seed(source))
        offers.append(("another seed", size // seeds.levels, found.variance_of_mean(seeds=1)))
    if found.augmented and found.known(CLASSIFIER):
        again = next(source for source in found.sources if source.names == (CLASSIFIER,))
        more = found.variance_of_mean(classifier_seeds=1)
        offers.append(("another classifier seed", size // again.levels, more))
    if found.known(FOLD):
        offers.append(("another division into folds (--seed)", size, found.variance_of_mean(divisions=2)))
    return offers
