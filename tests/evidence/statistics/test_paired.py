"""McNemar, DeLong, Nadeau and Bengio, against numbers computed elsewhere and against their own definitions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from made_arms import arm
from scipy.stats import binomtest

from lesionbench.evidence.statistics.influence import influence_of
from lesionbench.evidence.statistics.paired import exchange_p, mcnemar, nadeau_bengio
from lesionbench.evidence.statistics.two_way import two_way
from lesionbench.evidence.tables.comparisons import delong

LABELS = [1, 1, 1, 1, 1, 0, 0, 0, 0, 0]
A = arm(LABELS, [0.9, 0.8, 0.7, 0.6, 0.35, 0.5, 0.4, 0.3, 0.2, 0.1])
B = arm(LABELS, [0.8, 0.4, 0.7, 0.3, 0.55, 0.5, 0.6, 0.2, 0.35, 0.1])


def discordant(b, c, both=85):
    """Two arms on positives alone: b right in the first only, c in the second only."""
    first = [1.0] * b + [0.0] * c + [1.0] * both
    second = [0.0] * b + [1.0] * c + [1.0] * both
    return arm([1] * (b + c + both), first), arm([1] * (b + c + both), second)


@pytest.mark.parametrize(
    ("b", "c", "p"), [(12, 3, 0.03515625), (13, 0, 0.000244140625), (39, 26, 0.1360323948778921), (0, 0, 1.0)]
)
def test_mcnemar_is_the_exact_binomial_test(b, c, p):
    first, second = discordant(b, c)
    test = mcnemar(first, second, np.ones(len(first.labels), bool))

    assert (b, c) == (test.b, test.c)
    assert p == pytest.approx(test.p, rel=1e-9)


@given(some.integers(0, 30), some.integers(0, 30))
@settings(max_examples=25)
def test_mcnemar_is_symmetric(b, c):
    first, second = discordant(b, c, 5)
    among = np.ones(len(first.labels), bool)
    one, other = mcnemar(first, second, among), mcnemar(second, first, among)

    assert (one.b, one.c) == (other.c, other.b)
    assert one.p == pytest.approx(other.p)
    assert 0 < one.p <= 1


@given(some.lists(some.integers(-4, 4), min_size=1, max_size=9))
@settings(max_examples=40)
def test_groups_and_repeats_are_exchanged_whole(differences):
    """Against all 2^G exchanges, one by one."""
    values = np.array(differences, np.int64)
    signs = np.array(np.meshgrid(*[[-1, 1]] * len(values))).reshape(len(values), -1)
    by_hand = (np.abs(values @ signs) >= abs(values.sum())).mean()

    assert by_hand == pytest.approx(exchange_p(values))


def test_two_images_of_one_patient_count_as_one_exchange():
    labels, right, wrong = [1] * 10, [1.0] * 10, [0.0] * 10
    patients = np.repeat(np.arange(5), 2)
    test = mcnemar(arm(labels, right, patients), arm(labels, wrong, patients), np.ones(10, bool))

    assert binomtest(5, 5).pvalue == pytest.approx(test.p)  # not 2 / 2^10


def test_mcnemar_on_a_large_test_set_is_exact_too():
    differences = np.r_[np.ones(3100, np.int64), -np.ones(2900, np.int64)]

    assert binomtest(3100, 6000).pvalue == pytest.approx(exchange_p(differences), rel=1e-6)


def test_delong_is_that_of_the_oracle():
    first, second = two_way(influence_of("auc", A), A), two_way(influence_of("auc", B), B)
    difference = two_way(influence_of("auc", A).minus(influence_of("auc", B)), A)
    row = delong(difference)

    assert (first.estimate, second.estimate) == pytest.approx((0.92, 0.76))
    assert (first.patients, second.patients) == pytest.approx((0.0088, 0.0272))
    covariance = (first.patients + second.patients - difference.patients) / 2
    assert covariance == pytest.approx(0.0044)
    assert row["auc_difference"] / np.sqrt(difference.patients) == pytest.approx(0.9701425001453319)
    assert row["auc_delong_p"] == pytest.approx(0.3319754670826737)


def test_the_corrected_resampled_t_test_is_that_of_the_oracle():
    test = nadeau_bengio([0.02, 0.01, 0.03, -0.01, 0.02, 0.0, 0.04, 0.01, 0.02, 0.01], train=80, test=20)

    assert (test.t, test.p) == pytest.approx((1.7684493567566832, 0.11077709303519735))
    assert (test.low, test.high) == pytest.approx((-0.004187633116169435, 0.03418763311616943))


def test_one_fit_has_no_resampled_t_test():
    assert nadeau_bengio([0.1], 80, 20) is None
    assert nadeau_bengio([0.0, 0.0, 0.0], 80, 20).p == 1.0


def test_the_variance_of_a_paired_difference_is_that_of_the_oracle():
    """Wald's interval; ours divides by n - 1 instead of n, and takes Student's quantile."""
    first, second = discordant(12, 3)
    difference = two_way(influence_of("sensitivity", first).minus(influence_of("sensitivity", second)), first)
    half = 1.96 * np.sqrt(difference.patients * 99 / 100)

    assert difference.estimate == pytest.approx(0.09)
    ends = (difference.estimate - half, difference.estimate + half)
    assert ends == pytest.approx((0.016167551848797534, 0.16383244815120246))
