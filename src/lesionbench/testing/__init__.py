"""The plugin contract as a list of small functions, and the small images to run them on.

A plugin's contract test is

    @pytest.mark.parametrize("check", augmenter_checks(), ids=lambda check: check.__name__)
    def test_dcgan_keeps_the_contract(check):
        check(Dcgan)

and `lesionbench check dcgan` runs the same list. A check returns nothing when the promise is kept, raises
AssertionError with the rule, the value and what to change when it is broken, and raises `Skipped` (which
pytest shows as a skip) when it does not apply.
"""

from __future__ import annotations

from lesionbench.testing.contract import (
    Check,
    Skipped,
    augmenter_checks,
    checks_for,
    classifier_checks,
    dataset_checks,
)
from lesionbench.testing.fixtures import Reports, a_context, quick, tiny_images, tiny_training_set

__all__ = [
    "Check",
    "Reports",
    "Skipped",
    "a_context",
    "augmenter_checks",
    "checks_for",
    "classifier_checks",
    "dataset_checks",
    "quick",
    "tiny_images",
    "tiny_training_set",
]
