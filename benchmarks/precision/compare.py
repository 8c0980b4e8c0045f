"""Do results change if networks compute in bf16? The KTH report's experiment in fp32 and in bf16, beside each other.

    python benchmarks/precision/compare.py fp32 FOLDER --data path/to/skin-lesion
    python benchmarks/precision/compare.py bf16 FOLDER --data path/to/skin-lesion
    python benchmarks/precision/compare.py table FOLDER

Both runs have the same splits, seeds and test images, so differences are paired. A run goes on where it was stopped,
and the table has the repeats that are finished in both so far. Where the processor has no instructions for bf16,
the networks compute as on one that has them: see emulated.py.
"""

from __future__ import annotations

import argparse
import csv
from dataclasses import dataclass
from functools import cached_property, reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from scipy.stats import t as student

import lesionbench
from lesionbench.audit.extractors import predictor_extractor
from lesionbench.audit.stored_pools import bench_of_run, stored_pools
from lesionbench.evidence.images.fidelity import SyntheticPool, fidelity_rows
from lesionbench.evidence.images.fidelity_samples import Roles, kid_subset, real_side
from lesionbench.evidence.statistics.influence import Influence, influence_of
from lesionbench.evidence.statistics.scores import arm_scores, matched
from lesionbench.evidence.statistics.two_way import difference_of, two_way
from lesionbench.evidence.statistics.verdict import holm, judge
from lesionbench.experiment.machine import computes_in_bf16
from lesionbench.experiment.own_code import pack
from lesionbench.experiment.results import read_results
from lesionbench.plugins import Plugins
from lesionbench_dcgan import Dcgan
from lesionbench_paper_cnns import KthCnn

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from lesionbench import FittedPart, LabelledImages, Predictor, RunContext, TrainingSet
    from lesionbench.evidence.statistics.scores import ArmScores
    from lesionbench.evidence.statistics.two_way import TwoWay

    Numbers = NDArray[np.float64]

PRECISIONS = ("fp32", "bf16")
METRICS = ("auc", "sensitivity", "specificity")
MARGIN = 0.005  # a smaller difference in AUC does not matter here
REPEATS = 10
COLUMNS = ["arm", "", *PRECISIONS, "SD over seeds", "difference", "95% interval", "SD of the difference"]
JUDGED = ["arm", "repeats", "difference in AUC", "95% interval", "p of more than the margin", "verdict", "why"]
EXPERIMENT: dict[str, Any] = {  # benchmarks/experiments/kth-2019
    "dataset": "skin-lesion",
    "split": "official",
    "synthetic": [120, 480],
    "positive_class": "malignant",
    "device": "cpu",
}
QUICK: dict[str, Any] = {"dataset": "skin-phantom[train=240,test=120]", "synthetic": [4, 8], "split": "official"}


class EmulatedDcgan(Dcgan):
    """`dcgan` on a processor that has no instructions for bf16, as on one that has them."""

    name: ClassVar[str] = "dcgan-bf16"

    def fit_part(self, part: int, train: LabelledImages, context: RunContext) -> FittedPart:
        from emulated import EmulatedBf16  # imports torch

        with EmulatedBf16():
            return super().fit_part(part, train, context)


class EmulatedKthCnn(KthCnn):
    """`kth-cnn` on a processor that has no instructions for bf16, as on one that has them."""

    name: ClassVar[str] = "kth-cnn-bf16"

    def fit(self, train: TrainingSet, context: RunContext) -> Predictor:
        from emulated import EmulatedBf16  # imports torch

        with EmulatedBf16():
            return super().fit(train, context)


def main() -> None:
    """Run one side, or write the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=[*PRECISIONS, "table"])
    parser.add_argument("folder", type=Path, help="of both runs")
    parser.add_argument("--data", type=Path, help="the folder of skin-lesion; by default as lesionbench looks for it")
    parser.add_argument("--repeats", type=int, default=REPEATS)
    parser.add_argument("--jobs", type=int, help="processes at a time; by default the cores")
    parser.add_argument(
        "--quick", action="store_true", help="a few steps on drawn images, to see that everything works"
    )
    asked = parser.parse_args()
    if asked.what == "table":
        found = Comparison(asked.folder)
        found.write(asked.folder / "measured.csv")
        print(found.table())
    else:
        run(asked.what, asked.folder, asked.data, asked.repeats, asked.jobs, asked.quick)


def run(precision: str, folder: Path, data: Path | None, repeats: int, jobs: int | None, quick: bool) -> None:
    """Run the experiment in one precision, or what is left of it."""
    steps = {"steps": 2} if quick else {}
    emulated = precision == "bf16" and not computes_in_bf16()
    augmenter, classifier = (EmulatedDcgan, EmulatedKthCnn) if emulated else (Dcgan, KthCnn)
    settings = (
        EXPERIMENT
        | (QUICK if quick else {})
        | {"augmenters": [augmenter(**steps)], "classifiers": [classifier(**steps)]}
    )
    lesionbench.run(data=data, out=folder / precision, precision=precision, seeds=repeats, jobs=jobs, **settings)


@dataclass(frozen=True)
class Side:
    """The run in one precision: the scores of its arms by dose, and the KID of its pools."""

    folder: Path

    @cached_property
    def plugins(self) -> Plugins:
        """The installed plugins and those of this script."""
        plugins = Plugins.load()
        plugins.adopt("augmenter", EmulatedDcgan)
        plugins.adopt("classifier", EmulatedKthCnn)
        plugins.own = pack(plugins)
        return plugins

    @cached_property
    def arms(self) -> dict[int, ArmScores]:
        """The scores of every arm, by its synthetic images of each class."""
        return {one.arm.synthetic_per_class: one for one in arm_scores(read_results(self.folder).arms())}

    def extractor(self) -> Any:
        """The features in which images are compared: of the first classifier that learned from real images alone."""
        results = read_results(self.folder)
        cell = next(one for one in results.grid if one.is_reference)
        return predictor_extractor(
            cell.arm.classifier, bench_of_run(self.folder, results, self.plugins).predictor(cell)
        )

    def kid(self, extractor: Any) -> dict[int, float]:
        """The KID of the synthetic images of both classes, by seed."""
        found: dict[int, float] = {}
        real = None
        for stored in stored_pools(self.folder, self.plugins):
            if real is None:
                real = real_side(stored.train, stored.validation, stored.job.fold, extractor, 0)
                roles = Roles.of(*(np.bincount(one.labels).tolist() for one in (stored.train, stored.validation)))
                subset = kid_subset(roles.sizes([len(images) for images in stored.pool.images]))
            pool = SyntheticPool(
                f"seed {stored.job.seed}", "dcgan", stored.job.fold, stored.job.seed, stored.pool.images
            )
            found[stored.job.seed] = float(fidelity_rows(pool, real, subset, 0)[-1]["kid"])
        return found


class Comparison:
    """Both runs: every arm with the repeats that are finished in both."""

    def __init__(self, folder: Path) -> None:
        sides = [Side(folder / precision) for precision in PRECISIONS]
        pairs = {dose: (arm, sides[1].arms[dose]) for dose, arm in sides[0].arms.items() if dose in sides[1].arms}
        self.arms = {dose: matched(*pair) for dose, pair in pairs.items()}
        for one, other in self.arms.values():
            assert np.array_equal(one.ids, other.ids), "both runs must have the same test images"
        extractor = sides[0].extractor()  # the same for both
        found = [side.kid(extractor) for side in sides]
        self.kid = {seed: (found[0][seed], found[1][seed]) for seed in sorted(found[0].keys() & found[1].keys())}

    def table(self) -> str:
        """Both precisions beside each other, and the verdicts on the difference in AUC, as Markdown."""
        rows = [_row(_name(dose), metric, *sides) for dose, sides in self.arms.items() for metric in METRICS]
        if self.kid:
            kid = np.array(list(self.kid.values())).T
            rows.append(_columns("DCGAN images", "KID", kid, _interval(kid[1] - kid[0])))
        return "\n".join([*_markdown(COLUMNS, rows), "", *_markdown(JUDGED, list(self._verdicts()))])

    def _verdicts(self) -> Iterator[list[str]]:
        """The verdict on every arm, and on the mean over arms of the repeats that all of them have."""
        judged = {_name(dose): difference_of("auc", sides[1], sides[0]) for dose, sides in self.arms.items()}
        adjusted = holm([one.p_value() for one in judged.values()])
        for (name, difference), p_value, sides in zip(judged.items(), adjusted, self.arms.values(), strict=True):
            yield _verdict(name, len(sides[0].repeats), difference, p_value)
        shared = set.intersection(*(set(one.repeats) for one, _ in self.arms.values()))
        pairs = [(one.of_repeats(shared), other.of_repeats(shared)) for one, other in self.arms.values()]
        changes = [influence_of("auc", other).minus(influence_of("auc", one)) for one, other in pairs]
        together = two_way(reduce(Influence.plus, changes).times(1 / len(changes)), pairs[0][0])
        yield _verdict("mean of the arms", len(shared), together, together.p_value())

    def write(self, path: Path) -> None:
        """Write every repeat of every arm in both precisions as CSV."""
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["synthetic_per_class", "seed", "precision", *METRICS, "kid"])
            for dose, sides in self.arms.items():
                for number, (precision, arm) in enumerate(zip(PRECISIONS, sides, strict=True)):
                    values = np.stack([influence_of(metric, arm).estimates for metric in METRICS], axis=1)
                    for (seed, _), of_seed in zip(arm.repeats, values, strict=True):
                        kid = [self.kid[seed][number]] if dose else []
                        numbers = [f"{value:.6f}" for value in (*of_seed, *kid)]
                        writer.writerow([dose, seed, precision, *numbers, *([] if dose else [""])])


def _name(dose: int) -> str:
    return f"+ {dose} DCGAN images per class" if dose else "real images alone"


def _verdict(name: str, repeats: int, difference: TwoWay, adjusted_p: float) -> list[str]:
    """A line of the verdicts."""
    found = judge(difference, adjusted_p, MARGIN)
    low, high = difference.interval()
    measured = [f"{difference.estimate:+.4f}", f"{low:+.4f} to {high:+.4f}", f"{difference.p_beyond(MARGIN):.4f}"]
    return [name, str(repeats), *measured, found.verdict, found.reason]


def _row(name: str, metric: str, fp32: ArmScores, bf16: ArmScores) -> list[str]:
    values = np.stack([influence_of(metric, one).estimates for one in (fp32, bf16)])
    return _columns(name, metric, values, difference_of(metric, bf16, fp32).interval())


def _interval(differences: Numbers) -> tuple[float, float]:
    """The 95% t-interval of the mean of paired differences (R,)."""
    count = len(differences)
    if count < 2:
        return -np.inf, np.inf
    half = student.ppf(0.975, count - 1) * differences.std(ddof=1) / count**0.5
    return differences.mean() - half, differences.mean() + half


def _columns(arm: str, metric: str, values: Numbers, interval: tuple[float, float]) -> list[str]:
    """A line of the table; values: of both precisions in every repeat, (2, R)."""
    means, change = values.mean(axis=1), values[1] - values[0]
    ends = f"{interval[0]:+.4f} to {interval[1]:+.4f}" if np.isfinite(interval).all() else ""
    spread = ", ".join(map(_spread, values))
    return [arm, metric, f"{means[0]:.4f}", f"{means[1]:.4f}", spread, f"{change.mean():+.4f}", ends, _spread(change)]


def _spread(values: Numbers) -> str:
    """The standard deviation of values of several repeats; one says nothing of it."""
    return f"{values.std(ddof=1):.4f}" if len(values) > 1 else "unknown"


def _markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in (columns, ["---"] * len(columns), *rows)]


if __name__ == "__main__":
    main()
