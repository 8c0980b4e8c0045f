from fractions import Fraction

import pytest

from lesionbench.evidence.papers.grim import Printed, by_rounding, grim


def verdict(text, images):
    return grim(Printed.parse(text), images)


@pytest.mark.parametrize(
    ("text", "value", "decimals"),
    [
        (".80", Fraction(4, 5), 2),
        ("0.8", Fraction(4, 5), 1),
        ("78.6%", Fraction(786, 1000), 3),
        ("78.6 %", Fraction(786, 1000), 3),
        ("57%", Fraction(57, 100), 2),
        ("100%", Fraction(1), 2),
        ("1", Fraction(1), 0),
        ("0", Fraction(0), 0),
    ],
)
def test_a_printed_rate_keeps_its_decimals(text, value, decimals):
    assert Printed(text, value, decimals) == Printed.parse(text)


@pytest.mark.parametrize(
    "text", ["", ".", "%", "1.", "-0.1", "+.8", "8e-1", "nan", "0,8", "78.6", "100.1%", "1.01", "٣"]
)
def test_what_is_no_rate_is_refused(text):
    with pytest.raises(ValueError, match=r"a published rate is"):
        Printed.parse(text)


@pytest.mark.parametrize("text", ["57.1%", "71.4%", "78.6%", "85.7%", "81.3%", "79.1%", "78.0%"])
def test_the_accuracies_of_frid_adar_are_counts_of_182(text):
    assert verdict(text, 182) == "possible"


@pytest.mark.parametrize("text", ["76.8%", "84.2%"])
def test_the_sensitivities_of_csae_are_no_counts_of_182(text):
    assert verdict(text, 182) == "impossible"


def test_no_count_of_53_cysts_is_96_3_percent():
    assert verdict("96.3%", 53) == "impossible"  # 51 of 53 is 96.226, 52 of 53 is 98.113
    assert verdict("96.2%", 53) == "possible"


@pytest.mark.parametrize(
    ("text", "images"),
    [
        ("68.7%", 64),  # 44 of 64 is 68.75: half up and half to even both give 68.8
        ("66.1%", 65),  # 43 of 65 is 66.154
        ("62.5%", 302),  # 189 of 302 is 62.583
        ("91.4%", 117),  # 107 of 117 is 91.453
    ],
)
def test_some_printed_rates_are_truncated(text, images):
    assert verdict(text, images) == "by truncation"


def test_a_half_may_go_up_or_to_the_even_digit():
    # 52 of 64 is 81.25, 44 of 64 is 68.75
    assert verdict("81.2%", 64) == "possible"
    assert verdict("81.3%", 64) == "possible"
    assert verdict("68.8%", 64) == "possible"
    assert verdict("68.7%", 64) != "possible"


def test_none_and_all_are_always_possible():
    assert {verdict("0.0%", 7), verdict("100.0%", 7)} == {"possible"}


def test_two_decimals_say_nothing_about_a_hundred_images_or_more():
    assert verdict(".72", 360) == "no power"  # though the paper's own 262 of 360 is .73
    assert verdict(".80", 100) == "no power"
    assert verdict(".50", 99) == "by truncation"  # 49 and 50 of 99 are .4949 and .5051


@pytest.mark.parametrize("decimals", [0, 1, 2])
def test_there_is_no_power_exactly_when_every_rate_is_possible(decimals):
    unit = 10**decimals
    rates = [Printed("", Fraction(digits, unit), decimals) for digits in range(unit + 1)]
    for images in range(1, unit + 25):
        all_possible = all(by_rounding(rate, images) for rate in rates)
        assert all_possible == (grim(rates[0], images) == "no power")


def test_the_check_agrees_with_rounding_every_count():
    from decimal import ROUND_DOWN, ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal

    for images in (32, 53, 65):
        exact = [Decimal(count) / images for count in range(images + 1)]  # 28 digits are enough for these
        rounded = {rate.quantize(Decimal("0.001"), how) for rate in exact for how in (ROUND_HALF_UP, ROUND_HALF_EVEN)}
        cut = {rate.quantize(Decimal("0.001"), ROUND_DOWN) for rate in exact}
        for digits in range(1001):
            rate = Decimal(digits) / 1000
            expected = "possible" if rate in rounded else "by truncation" if rate in cut else "impossible"
            assert expected == verdict(f"0.{digits:03d}" if digits < 1000 else "1.000", images)


def test_both_sensitivities_of_csae_fit_twelve_sizes_up_to_300():
    fitting = [
        images for images in range(1, 301) if {verdict(text, images) for text in ("76.8%", "84.2%")} == {"possible"}
    ]

    assert [95, 177, 190, 203, 228, 241, 259, 272, 284, 285, 297, 298] == fitting


@pytest.mark.parametrize(("sensitivity", "specificity"), [("76.8%", "88.4%"), ("84.2%", "92.1%")])
def test_the_specificities_of_csae_follow_from_its_sensitivities(sensitivity, specificity):
    """In three balanced classes, every wrong answer is one false alarm among twice as many negatives as images."""
    assert Printed.parse(specificity).value == 1 - (1 - Printed.parse(sensitivity).value) / 2
