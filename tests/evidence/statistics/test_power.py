from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_arms import ROLES, arm_key
from scipy.stats import binom, binomtest, norm

from lesionbench.errors import SettingsError
from lesionbench.evidence.statistics.power import observed_discordance, smallest_difference
from lesionbench.evidence.statistics.scores import ArmScores


@pytest.mark.parametrize(
    ("difference", "discordance", "images"),
    [
        (0.0714, 0.10, 152),
        (0.0714, 0.15, 229),
        (0.0714, 0.20, 306),
        (0.0714, 0.30, 460),
        (0.03, 0.15, 1306),
        (0.02, 0.15, 2941),
    ],
)
def test_the_smallest_difference_is_that_of_connor(difference, discordance, images):
    fewer, enough = (smallest_difference(count, discordance) for count in (images - 1, images))

    assert enough <= difference < fewer


@settings(max_examples=60)
@given(st.integers(4, 5000), st.floats(0.01, 1.0))
def test_the_smallest_difference_solves_connors_equation(images, discordance):
    found = smallest_difference(images, discordance)
    of_level, of_power = norm.ppf([0.975, 0.8])

    def images_needed(difference):
        wanted = of_level * np.sqrt(discordance) + of_power * np.sqrt(discordance - difference**2)
        return (wanted / difference) ** 2

    if found is None:
        assert images < images_needed(discordance)
    else:
        assert 0 < found <= discordance
        assert images_needed(found) == pytest.approx(images)


def test_more_images_see_smaller_differences():
    seen = [smallest_difference(images, 0.15) for images in (100, 300, 660)]

    assert sorted(seen, reverse=True) == seen
    assert 0.0624 == pytest.approx(seen[1], abs=1e-4)


def test_too_few_images_see_nothing():
    assert smallest_difference(50, 0.1) is None  # it would take 0.122
    assert smallest_difference(0, 0.5) is None
    assert smallest_difference(3, 1.0) is None


def exact_power(images, difference, discordance):
    """The power of the exact McNemar test at 5%, from the probability of every outcome."""
    discordant = np.arange(images + 1)
    few = binom.ppf(0.025, discordant, 0.5)  # the largest count on one side that is still significant, or one more
    few -= 2 * binom.cdf(few, discordant, 0.5) > 0.05
    of_one = (discordance + difference) / (2 * discordance)  # the chance that a discordant image favors one arm
    rejected = binom.cdf(few, discordant, of_one) + binom.sf(discordant - few - 1, discordant, of_one)
    return float((binom.pmf(discordant, images, discordance) * np.where(few >= 0, rejected, 0.0)).sum())


def test_the_exact_power_counts_every_outcome():
    images, difference, discordance = 12, 0.4, 0.6
    power = 0.0
    for discordant in range(1, images + 1):
        for wins in range(discordant + 1):
            if binomtest(wins, discordant).pvalue <= 0.05:
                power += binom.pmf(discordant, images, discordance) * binom.pmf(wins, discordant, 0.5 / 0.6)

    assert power == pytest.approx(exact_power(images, difference, discordance))


@pytest.mark.parametrize("discordance", [0.1, 0.2, 0.3])
@pytest.mark.parametrize("images", [100, 300, 660])
def test_the_exact_test_keeps_nearly_the_power_promised(images, discordance):
    found = smallest_difference(images, discordance)

    assert 0.75 < exact_power(images, found, discordance) < 0.80
    assert exact_power(images, min(found + 0.01, discordance), discordance) > 0.79


@pytest.mark.parametrize("discordance", [0.0, -0.1, 1.1, float("nan")])
def test_a_discordance_that_is_no_share_is_refused(discordance):
    with pytest.raises(SettingsError, match=r"in \(0, 1\]"):
        smallest_difference(300, discordance)


def arm(right, labels, repeats=None, positive=1, classes=("a", "b")):
    """An arm that is right, in each repeat, where `right` (R, N) says so."""
    right, labels = np.atleast_2d(right).astype(bool), np.asarray(labels)
    called = np.where(right, labels, (labels + 1) % len(classes))
    count = len(labels)
    return ArmScores(
        arm_key(),
        ROLES["none"],
        repeats or tuple((seed, 1) for seed in range(1, len(right) + 1)),
        np.array([f"i{n}" for n in range(count)]),
        np.arange(count),
        labels,
        np.zeros(count, np.int64),
        np.eye(len(classes))[called],
        classes,
        positive,
    )


def test_the_observed_discordance_is_the_share_on_which_exactly_one_is_right():
    labels = [1, 1, 1, 1, 0, 0]
    baseline = arm([[1, 1, 0, 0, 1, 1], [1, 1, 1, 1, 1, 1]], labels)
    other = arm([[1, 0, 1, 0, 1, 0], [1, 1, 1, 1, 1, 1]], labels)

    assert {"sensitivity": 0.25, "specificity": 0.25, "accuracy": 0.25} == observed_discordance(other, baseline)
    assert observed_discordance(other, baseline) == observed_discordance(baseline, other)


def test_only_common_repeats_and_classes_that_are_there_count():
    labels = [1, 1, 1, 1]
    baseline = arm([[1, 1, 1, 1], [0, 0, 0, 0]], labels, repeats=((1, 1), (2, 1)))
    other = arm([[1, 1, 1, 0]], labels, repeats=((2, 1),))

    assert {"sensitivity": 0.75, "accuracy": 0.75} == observed_discordance(other, baseline)
    assert {} == observed_discordance(replace(other, repeats=((3, 1),)), baseline)


def test_three_classes_have_a_discordance_each():
    labels = [0, 1, 2, 2]
    one, other = (
        arm([right], labels, positive=None, classes=("x", "y", "z")) for right in ([1, 1, 1, 1], [0, 1, 1, 0])
    )

    assert {
        "sensitivity of x": 1.0,
        "sensitivity of y": 0.0,
        "sensitivity of z": 0.5,
        "accuracy": 0.5,
    } == observed_discordance(one, other)
