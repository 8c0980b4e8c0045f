"""Fidelity and diversity of synthetic pools; beside each measure stands its floor, the value for real images."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from lesionbench.evidence.images.feature_distances import fid, kid
from lesionbench.evidence.images.fidelity_samples import (
    LEAST,
    PAIRS,
    RealSide,
    Sample,
    joined,
    of_each,
    sample,
    similarity,
)
from lesionbench.evidence.images.ms_ssim import WINDOW, scales_for
from lesionbench.evidence.images.prdc import prdc
from lesionbench.evidence.images.sliced_wasserstein import COARSEST, levels_for, swd
from lesionbench.pipeline.context import derive_seed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lesionbench.pipeline.images import Images
    from lesionbench.pipeline.leaderboard import Row

ALL = "all"
K = 5  # the neighbor that sets the radius of the balls of precision, recall, density and coverage
SUBSETS = 100  # of KID
BESIDE_FLOOR = ("kid", "precision", "recall", "density", "coverage", "swd", "fid")  # each has a NAME_floor
FIDELITY_COLUMNS = (
    "pool",
    "augmenter",
    "fold",
    "seed",
    "class",
    "extractor",
    "features",
    "reference",
    "n_synthetic",
    "n_real",
    "n_floor",
    "n",
    "kid",
    "kid_sd",
    "kid_floor",
    "kid_subset",
    "precision",
    "precision_floor",
    "recall",
    "recall_floor",
    "density",
    "density_floor",
    "coverage",
    "coverage_floor",
    "prdc_k",
    "ms_ssim",
    "ms_ssim_real",
    "ms_ssim_scales",
    "ms_ssim_pairs",
    "swd",
    "swd_floor",
    "swd_levels",
    "fid",
    "fid_floor",
    "fid_n",
    "reason",
)


@dataclass(frozen=True, eq=False)
class SyntheticPool:
    """One pool: its name, its augmenter, fold and seed, and its images, uint8 (N, H, W, C) for each class."""

    name: str
    augmenter: str
    fold: int
    seed: int
    images: Sequence[Images]


def fidelity_rows(pool: SyntheticPool, real: RealSide, subset: int, seed: int) -> list[Row]:
    """One row for each class of the pool and one for all, with the FIDELITY_COLUMNS; `subset`: `kid_subset` of the run.

    Synthetic images, and training images for the floor, are compared with the same real images in equal numbers. For
    `all`, every class has as many images as the smallest comparison, so that the mix of classes is the same. What
    cannot be computed is None, and `reason` says why.
    """
    assert real.fold == pool.fold
    counts = real.roles.compared([len(images) for images in pool.images])
    samples = [_random_sample(pool, label, count, real, seed) for label, count in enumerate(counts)]
    alike = [similarity(of, derive_seed("ms-ssim", seed, pool.name, label)) for label, of in enumerate(pool.images)]
    size = pool.images[0].shape[1:3]
    comparisons = [(name, [label], counts[label]) for label, name in enumerate(real.classes)]
    rows = []
    for name, chosen, count in [*comparisons, (ALL, list(range(len(counts))), of_each(counts))]:
        row: Row = {
            **dict.fromkeys(FIDELITY_COLUMNS),
            "pool": pool.name,
            "augmenter": pool.augmenter,
            "fold": pool.fold,
            "seed": pool.seed,
            "class": name,
            "n_synthetic": sum(len(pool.images[label]) for label in chosen),
            "ms_ssim": _mean([alike[label] for label in chosen]),
        }
        row |= _of_real(real, chosen, size)
        row["n"] = count * len(chosen)
        enough = count * len(chosen) >= LEAST
        if enough:
            row |= _compared([samples[label].first(count) for label in chosen], chosen, real, subset, seed)
        rows.append(row | {"reason": "; ".join(_reasons(row, enough, real.no_features, size))})
    return rows


def _random_sample(pool: SyntheticPool, label: int, count: int, real: RealSide, seed: int) -> Sample:
    """`count` random synthetic images of one class."""
    rng = np.random.default_rng(derive_seed("fidelity", seed, pool.name, label))
    return sample(pool.images[label][rng.permutation(len(pool.images[label]))[:count]], real.scale)


def _of_real(real: RealSide, labels: Sequence[int], size: tuple[int, ...]) -> Row:
    """The columns that describe the real images, which are the same for every pool of a fold."""
    height, width = size
    return {
        "extractor": real.extractor,
        "features": None if real.scale is None else len(real.scale.shift),
        "reference": real.roles.reference,
        "n_real": sum(real.roles.real[label] for label in labels),
        "n_floor": sum(real.roles.floor[label] for label in labels),
        "ms_ssim_real": _mean([real.ms_ssim[label] for label in labels]),
        "ms_ssim_scales": scales_for(height, width) or None,
        "ms_ssim_pairs": PAIRS if scales_for(height, width) else None,
    }


def _compared(synthetic: Sequence[Sample], labels: Sequence[int], real: RealSide, subset: int, seed: int) -> Row:
    """The columns of one comparison with real images of the same classes, and of its floor."""
    count = len(synthetic[0])
    reference = joined([real.real[label].first(count) for label in labels])
    start = derive_seed("fidelity measures", seed, real.fold, *labels)  # the same for pool and floor
    row = _measures(joined(synthetic), reference, subset, start)
    key = (tuple(labels), count, subset, seed)
    if key not in real.floors:
        images = joined([real.floor[label].first(count) for label in labels])
        real.floors[key] = _measures(images, reference, subset, start)
    return row | {f"{name}_floor": real.floors[key].get(name) for name in BESIDE_FLOOR}


def _measures(images: Sample, reference: Sample, subset: int, seed: int) -> Row:
    """The measures of these images against the same number of reference images, as far as they are defined."""
    row: Row = {}
    if images.features is not None and reference.features is not None:
        count, width = images.features.shape
        distance, spread = kid(images.features, reference.features, subset, SUBSETS, np.random.default_rng(seed))
        row |= {"kid": distance, "kid_sd": spread, "kid_subset": subset}
        row |= {**asdict(prdc(reference.features, images.features, K)), "prdc_k": K}
        if count > width:
            row |= {"fid": fid(images.features, reference.features), "fid_n": count}
    if levels_for(*images.images.shape[1:3]):
        levels = swd(images.images, reference.images, np.random.default_rng(seed))
        row["swd"] = float(np.mean(list(levels.values())))
        row["swd_levels"] = " ".join(f"{side}:{value:.1f}" for side, value in levels.items())
    return row


def _mean(values: Sequence[float | None]) -> float | None:
    """The mean of the classes' values, or None if one is unknown."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if len(known) == len(values) else None


def _reasons(row: Row, compared: bool, no_features: str | None, size: tuple[int, ...]) -> list[str]:
    """Why columns of this row are empty, one sentence for each reason."""
    height, width = size
    reasons = []
    if not compared:
        reasons.append(f"a comparison needs {LEAST} images or more on each side, not {row['n']}")
    if no_features:
        reasons.append(f"no features: {no_features}")
    elif row["kid"] is not None and row["fid"] is None:
        reasons.append(f"fid needs more images than features ({row['n']} of {row['features']})")
    if not levels_for(height, width):
        reasons.append(f"swd needs images of {COARSEST} pixels or more, not {height}x{width}")
    if not scales_for(height, width):
        reasons.append(f"ms_ssim needs images of {WINDOW} pixels or more, not {height}x{width}")
    for column, whose in (("ms_ssim", "synthetic"), ("ms_ssim_real", "training")):
        if scales_for(height, width) and row[column] is None:
            reasons.append(f"{column} needs 2 {whose} images or more of every class here")
    return reasons
