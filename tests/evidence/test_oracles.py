"""The numbers of libraries that stand beside ours, so that a change in either is seen."""

import numpy as np
import pytest
from made_arms import arm, of_confusion
from scipy.stats import binom
from statsmodels.stats.contingency_tables import mcnemar as their_mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from lesionbench.evidence.statistics.influence import influence_of
from lesionbench.evidence.statistics.paired import mcnemar
from lesionbench.evidence.statistics.verdict import holm


@pytest.mark.parametrize(
    ("hits", "images", "low", "high"),
    [
        (288, 300, 0.9311710118105039, 0.9791634236935863),
        (258, 300, 0.8155064400789335, 0.8972020001688272),
        (143, 182, 0.7189155292813563, 0.8429632215261518),
        (53, 53, 0.9327654536936989, 1.0),
        (0, 20, 0.0, 0.16843347098308534),
    ],
)
def test_beta_is_clopper_and_pearson(hits, images, low, high):
    assert proportion_confint(hits, images, method="beta") == pytest.approx((low, high), abs=1e-9)


@pytest.mark.parametrize(
    ("after", "before", "low", "high"),
    [
        (545, 526, -0.013468976066013917, 0.07095748698397786),
        (552, 526, -0.002394469634958603, 0.0810750238088424),
    ],
)
def test_the_kth_reports_gains_hold_0_when_unpaired(after, before, low, high):
    """Newcombe's interval of its accuracies on 660 images."""
    found = confint_proportions_2indep(after, 660, before, 660, method="newcomb", compare="diff")

    assert found == pytest.approx((low, high), abs=1e-6)


@pytest.mark.parametrize(
    ("b", "c", "chi2", "p_chi2", "corrected", "p_corrected", "exact", "mid"),
    [
        (12, 3, 5.4, 0.02013675155, 4.2666666667, 0.03886710381, 0.03515625, 0.0212707519531),
        (13, 0, 13.0, 0.00031149096, 11.0769230769, 0.00087408721, 0.000244140625, 0.00012207031),
        (39, 26, 2.6, 0.10686371499, 2.2153846154, 0.13664100481, 0.1360323948779, 0.1088569644),
    ],
)
def test_mcnemar_in_all_its_forms(b, c, chi2, p_chi2, corrected, p_corrected, exact, mid):
    table = [[10, b], [c, 10]]
    plain, with_correction = (their_mcnemar(table, exact=False, correction=each) for each in (False, True))
    one, other = arm([1] * (b + c), [1.0] * b + [0.0] * c), arm([1] * (b + c), [0.0] * b + [1.0] * c)
    ours = mcnemar(one, other, np.ones(b + c, bool)).p

    assert (plain.statistic, plain.pvalue) == pytest.approx((chi2, p_chi2))
    assert (with_correction.statistic, with_correction.pvalue) == pytest.approx((corrected, p_corrected))
    assert ours == pytest.approx(exact) == pytest.approx(their_mcnemar(table, exact=True).pvalue)
    assert ours - binom.pmf(min(b, c), b + c, 0.5) == pytest.approx(mid)


@pytest.mark.parametrize(
    ("method", "adjusted"),
    [
        ("holm", [0.03, 0.06, 0.06, 0.02]),
        ("bonferroni", [0.04, 0.16, 0.12, 0.02]),
        ("fdr_bh", [0.02, 0.04, 0.04, 0.02]),
    ],
)
def test_p_values_are_adjusted_for_how_many_there_are(method, adjusted):
    p_values = [0.01, 0.04, 0.03, 0.005]

    assert multipletests(p_values, method=method)[1] == pytest.approx(adjusted)
    assert method != "holm" or holm(p_values) == pytest.approx(adjusted)


@pytest.mark.parametrize(
    ("matrix", "accuracy", "sensitivity", "specificity"),
    [
        ([[238, 122], [12, 288]], 0.79697, 0.96, 0.66111),
        ([[262, 98], [17, 283]], 0.82576, 0.94333, 0.72778),
        ([[294, 66], [42, 258]], 0.83636, 0.86, 0.81667),
    ],
)
def test_the_kth_reports_matrices_give_its_rates(matrix, accuracy, sensitivity, specificity):
    """Benign first here; malignant is the positive class."""
    one = of_confusion(matrix)
    found = [influence_of(metric, one).mean for metric in ("accuracy", "sensitivity", "specificity")]

    assert found == pytest.approx([accuracy, sensitivity, specificity], abs=1e-5)


@pytest.mark.parametrize(
    ("matrix", "sensitivity", "specificity"),
    [
        ([[52, 1, 0], [2, 44, 18], [0, 18, 47]], 143 / 182, 0.8839),
        ([[53, 0, 0], [2, 52, 10], [1, 13, 51]], 156 / 182, 0.9240),
    ],
)
def test_frid_adars_matrices_give_its_weighted_rates(matrix, sensitivity, specificity):
    one = of_confusion(matrix, classes=("cyst", "metastasis", "hemangioma"))

    assert influence_of("sensitivity", one).mean == pytest.approx(sensitivity)
    assert influence_of("specificity", one).mean == pytest.approx(specificity, abs=5e-5)
