"""The GRIM check: whether a printed rate can be a count out of a number of images (Brown & Heathers 2017).

All arithmetic is exact, with fractions and without floats.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

GrimResult = Literal["possible", "by truncation", "impossible", "no power"]


@dataclass(frozen=True)
class Printed:
    """A rate as a paper prints it, with its decimals: `78.6%` is 0.786 with 3 decimals, `.80` has 2."""

    text: str
    value: Fraction  # a fraction in [0, 1]
    decimals: int  # of the fraction

    @classmethod
    def parse(cls, text: str) -> Printed:
        """The rate in this text: percent with a % sign, else a fraction in [0, 1]; raises ValueError with the rule."""
        match = re.fullmatch(r"([0-9]*)(?:\.([0-9]+))?\s*(%?)", text)
        if match is None or not (match[1] or match[2]):
            raise ValueError("a published rate is written as printed, such as .80, 0.786 or 78.6%")
        decimals = len(match[2] or "") + (2 if match[3] else 0)
        value = Fraction(int(match[1] + (match[2] or "")), 10**decimals)
        if value > 1:
            raise ValueError("a published rate is a fraction in [0, 1], or a percentage with its sign, such as 78.6%")
        return cls(text, value, decimals)


def grim(printed: Printed, images: int) -> GrimResult:
    """Whether some number k of right answers out of `images` gives the printed rate.

    possible: k / images rounds to it, where a half rounds up or to the even digit. by truncation: only cutting off
    digits gives it. impossible: neither does. no power: there are so many images that every rate with these decimals
    is possible.
    """
    if images >= 10**printed.decimals:
        return "no power"  # never with fewer images; a test tries all numbers
    if by_rounding(printed, images):
        return "possible"
    return "by truncation" if _count_in(printed.value, _unit(printed), images) else "impossible"


def by_rounding(printed: Printed, images: int) -> bool:
    """Whether k / images rounds to the printed rate for some whole k; a half can round up or to the even digit."""
    half = _unit(printed) / 2
    if _count_in(printed.value - half, 2 * half, images):  # a half that was rounded up is the lower end
        return True
    last_digit_is_even = (printed.value / _unit(printed)).numerator % 2 == 0
    return last_digit_is_even and ((printed.value + half) * images).denominator == 1


def _unit(printed: Printed) -> Fraction:
    """The value of one unit in the last printed digit."""
    return Fraction(1, 10**printed.decimals)


def _count_in(low: Fraction, width: Fraction, images: int) -> bool:
    """Whether low <= k / images < low + width for some whole number k in 0..images."""
    first = max(math.ceil(low * images), 0)
    return first <= images and Fraction(first, images) < low + width
