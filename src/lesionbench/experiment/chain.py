"""How an augmenter is written: `classic`, `classic@480`, or a chain such as `classic@1667+dcgan[steps=800]`.

In a chain each link learns from the real images and the draws of the links before it, and the classifier learns from
all of it (Frid-Adar et al. 2018, section IV-B). `@N` fixes a link's synthetic images per class; the others get the
experiment's dose.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lesionbench.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

BASELINE = "none"


@dataclass(frozen=True)
class Draw:
    """One augmenter's synthetic images: how many a class."""

    augmenter: str
    per_class: int


@dataclass(frozen=True)
class Link:
    """One augmenter of a chain; `per_class` is None where the experiment's dose holds."""

    augmenter: str
    per_class: int | None

    @property
    def text(self) -> str:
        """As it is written."""
        return self.augmenter if self.per_class is None else f"{self.augmenter}@{self.per_class}"


def parse_chain(text: str) -> tuple[Link, ...]:
    """The links of an augmenter as it is written; raises SettingsError."""
    parts = re.split(r"\+(?![^\[]*\])", text)  # a plus sign inside brackets belongs to a setting
    links = tuple(_link(part.strip(), text) for part in parts)
    drawing = len(links) > 1 or links[0].per_class is not None
    if drawing and any(link.augmenter.partition("[")[0] == BASELINE for link in links):
        raise SettingsError(f"links of a chain draw images, but {BASELINE!r} draws none; leave it out of {text!r}")
    return links


def _link(part: str, text: str) -> Link:
    match = re.fullmatch(r"([^@\[\]]+(?:\[.*\])?)(?:@(.*))?", part)
    if match is None:
        raise SettingsError(f"an augmenter is written NAME, NAME@N, or a chain such as classic@480+dcgan, not {text!r}")
    if match[2] is None:
        return Link(match[1].strip(), None)
    if not re.fullmatch(r"[1-9]\d{0,6}", match[2]):
        raise SettingsError(
            f"after @ stands a whole number of synthetic images per class, such as classic@480, not {part!r}"
        )
    return Link(match[1].strip(), int(match[2]))


def canonical(text: str, spelled: Callable[[str], str]) -> str:
    """The chain with every augmenter spelled in its one way."""
    return "+".join(Link(spelled(link.augmenter), link.per_class).text for link in parse_chain(text))


def draws(text: str, dose: int) -> tuple[Draw, ...]:
    """Every link that draws, with its synthetic images per class, when the experiment's dose is this."""
    counted = (Draw(link.augmenter, dose if link.per_class is None else link.per_class) for link in parse_chain(text))
    return tuple(draw for draw in counted if draw.per_class and draw.augmenter != BASELINE)


def described(text: str, dose: int) -> tuple[str, int]:
    """An arm's name and its dose, that of the last link which draws; (`none`, 0) when no link draws any."""
    drawing = [link for link in parse_chain(text) if link.per_class or dose]
    drawing = [link for link in drawing if link.augmenter != BASELINE]
    if not drawing:
        return BASELINE, 0
    *before, last = drawing
    if last.per_class not in (None, dose):  # then the dose would stand nowhere: two doses, one name
        before = [Link(link.augmenter, link.per_class or dose) for link in before]
    return "+".join([*(link.text for link in before), last.augmenter]), last.per_class or dose
