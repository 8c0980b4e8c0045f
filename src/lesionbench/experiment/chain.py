"""How an augmenter is written: `classic`, `classic@480`, or a chain such as `classic@1667+dcgan[steps=800]`.

Each link of a chain learns from the real images and from the synthetic images of the links before it. The classifier
learns from all of them (Frid-Adar et al. 2018, section IV-B). `@N` sets a link's number of synthetic images per class;
links without it get the experiment's dose.

Two kinds of link are controls. `shuffled:dcgan` uses the images of `dcgan` with shuffled labels. `real-holdout` is
first in a chain and makes no images: its number is how many real images of each class are held back from the arm.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lesionbench.errors import SettingsError
from lesionbench.pipeline.augmenter import BASELINE, HOLDOUT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SHUFFLED = "shuffled:"
REAL_AND_NOISE = ("oversample", "noise")  # the controls that `controls` adds to every experiment
MOST_HELD_BACK = 20  # by the `controls`, so that small classes have enough images; `real-holdout@N` sets another number


@dataclass(frozen=True)
class Draw:
    """One augmenter's synthetic images: how many for each class, and whether their labels are shuffled."""

    augmenter: str
    per_class: int
    shuffled: bool = False


@dataclass(frozen=True)
class Link:
    """One augmenter of a chain; `per_class` is None if it takes the experiment's dose."""

    augmenter: str
    per_class: int | None
    shuffled: bool = False

    @property
    def without_dose(self) -> str:
        """The link as it is written, without its number of images."""
        return f"{SHUFFLED}{self.augmenter}" if self.shuffled else self.augmenter

    @property
    def text(self) -> str:
        """The link as it is written."""
        return self.without_dose if self.per_class is None else f"{self.without_dose}@{self.per_class}"


def parse_chain(text: str) -> tuple[Link, ...]:
    """The links of an augmenter as it is written; raises SettingsError."""
    parts = re.split(r"\+(?![^\[]*\])", text)  # a plus sign inside brackets belongs to a setting
    links = tuple(_link(part.strip(), text) for part in parts)
    names = [link.augmenter.partition("[")[0] for link in links]
    drawing = len(links) > 1 or links[0].per_class is not None or links[0].shuffled
    if drawing and BASELINE in names:
        raise SettingsError(f"links of a chain draw images, but {BASELINE!r} draws none; leave it out of {text!r}")
    if HOLDOUT in names[1:]:
        raise SettingsError(f"{HOLDOUT} holds real images back from all that follows, so it stands first, not {text!r}")
    if HOLDOUT in names and links[0].shuffled:
        raise SettingsError(f"{HOLDOUT} draws no images, so there are none to shuffle; leave out {SHUFFLED!r}")
    return links


def _link(part: str, text: str) -> Link:
    shuffled = part.startswith(SHUFFLED)
    match = re.fullmatch(r"([^@\[\]]+(?:\[.*\])?)(?:@(.*))?", part.removeprefix(SHUFFLED))
    if match is None:
        raise SettingsError(f"an augmenter is written NAME, NAME@N, or a chain such as classic@480+dcgan, not {text!r}")
    if match[2] is None:
        return Link(match[1].strip(), None, shuffled)
    if not re.fullmatch(r"[1-9]\d{0,6}", match[2]):
        raise SettingsError(
            f"after @ stands a whole number of synthetic images per class, such as classic@480, not {part!r}"
        )
    return Link(match[1].strip(), int(match[2]), shuffled)


def canonical(text: str, spelled: Callable[[str], str]) -> str:
    """The chain with every augmenter in its canonical spelling."""
    return "+".join(replace(link, augmenter=spelled(link.augmenter)).text for link in parse_chain(text))


def controls(texts: Sequence[str], doses: Sequence[int], is_augmenter: Callable[[str], bool]) -> list[str]:
    """The control arms for these augmenters: repeated real images, noise, shuffled labels, and held-back real images.

    is_augmenter: whether a link is neither the baseline nor a control, so that its labels are worth shuffling.
    """
    shuffled = []
    for *before, last in map(parse_chain, texts):
        if is_augmenter(last.augmenter):
            shuffled.append("+".join([*(link.text for link in before), replace(last, shuffled=True).text]))
    positive = [dose for dose in doses if dose]
    has_holdout = any(parse_chain(text)[0].augmenter == HOLDOUT for text in texts)
    holdout = [f"{HOLDOUT}@{min(MOST_HELD_BACK, *positive)}"] if positive and not has_holdout else []
    return [*REAL_AND_NOISE, *shuffled, *holdout]


def draws(text: str, dose: int) -> tuple[Draw, ...]:
    """Every link with a positive number of images per class, drawn or held back, at this dose of the experiment."""
    links = [link for link in parse_chain(text) if link.augmenter != BASELINE]
    counted = (
        Draw(link.augmenter, dose if link.per_class is None else link.per_class, link.shuffled) for link in links
    )
    return tuple(draw for draw in counted if draw.per_class)


def held_back(chain: tuple[Draw, ...]) -> int:
    """How many real images of each class this chain holds back."""
    return sum(draw.per_class for draw in chain if draw.augmenter == HOLDOUT)


def drawing(chain: tuple[Draw, ...]) -> tuple[Draw, ...]:
    """The links that make synthetic images."""
    return tuple(draw for draw in chain if draw.augmenter != HOLDOUT)


def described(text: str, dose: int) -> tuple[str, int]:
    """An arm's augmenter text and its dose, the number of the last link; (`none`, 0) if no link has any images."""
    links = [link for link in parse_chain(text) if link.per_class or dose]
    links = [link for link in links if link.augmenter != BASELINE]
    if not links:
        return BASELINE, 0
    *before, last = links
    if last.per_class not in (
        None,
        dose,
    ):  # else the dose would not be written anywhere, and two doses would share one name
        before = [replace(link, per_class=link.per_class or dose) for link in before]
    return "+".join([*(link.text for link in before), last.without_dose]), last.per_class or dose
