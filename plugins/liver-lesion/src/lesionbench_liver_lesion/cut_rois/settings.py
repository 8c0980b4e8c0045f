"""The settings of `cut-rois`, validated."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field

from lesionbench import SettingsError, did_you_mean

SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _.-]*")  # a class becomes a folder
SHORTEST_SALT = 8
AIR = -1000.0  # HU, used outside the slice


@dataclass(frozen=True)
class CutSettings:
    """Settings that all ROIs share; raises SettingsError if a value is out of range.

    label: the class of everything in a mask; mask_labels: the class of each value in a mask; at most one of the two.
    margin: tissue on each side of the lesion, as a fraction of its diameter (Frid-Adar et al. III-A: 0.1 to 0.4).
    window_level, window_width: HU shown as mid grey, and HU from black to white.
    """

    classes: tuple[str, ...] = ("cyst", "metastasis", "hemangioma")
    label: str | None = None
    mask_labels: dict[int, str] = field(default_factory=dict)
    margin: float = 0.25
    window_level: float = 60.0
    window_width: float = 400.0
    size: int = 64
    min_diameter: float = 0.0
    every_slice: bool = False

    def __post_init__(self) -> None:
        _within("--margin", self.margin, 0, 10)
        _within("--window-level", self.window_level, -2000, 4000)
        _within("--window-width", self.window_width, 1, 8000)
        _within("--size", self.size, 8, 1024)
        _within("--min-diameter", self.min_diameter, 0, 1000)
        for name in self.classes:
            if not SAFE_NAME.fullmatch(name):
                raise SettingsError(
                    f"--classes: a class becomes a folder, so its name must be letters, digits and _ . -, not {name!r}"
                )
        if len(set(self.classes)) != len(self.classes):
            raise SettingsError(f"--classes: a class may stand once, but {', '.join(self.classes)} repeats one")
        if self.label is not None and self.mask_labels:
            raise SettingsError("--label names the whole mask and --mask-label its values; give one of the two")
        if self.label is not None:
            self.check_class(self.label, "--label")
        for name in self.mask_labels.values():
            self.check_class(name, "--mask-label")

    def check_class(self, name: str, where: str) -> str:
        """The name, if it is one of the classes; raises SettingsError that says where the name is."""
        if name not in self.classes:
            raise SettingsError(
                f"{where}: {name!r} is none of the classes {', '.join(self.classes)}"
                f"{did_you_mean(name, list(self.classes))}; correct it, or name the classes with --classes"
            )
        return name


def parse_classes(text: str) -> tuple[str, ...]:
    """The names between the commas."""
    return tuple(name.strip() for name in text.split(","))


def parse_mask_labels(texts: list[str]) -> dict[int, str]:
    """The class of each mask value, from texts such as `1=cyst`; raises SettingsError."""
    labels: dict[int, str] = {}
    for text in texts:
        value, equals, name = text.partition("=")
        if not equals or not re.fullmatch(r"\s*[0-9]{1,9}\s*", value) or int(value) == 0:
            raise SettingsError(f"--mask-label must be VALUE=CLASS with a whole value above 0, as 1=cyst, not {text!r}")
        if int(value) in labels:
            raise SettingsError(f"--mask-label: the mask value {int(value)} may have one class, but two were given")
        labels[int(value)] = name.strip()
    return labels


def check_salt(salt: str | None) -> None:
    """Raise SettingsError if the salt is so short that names could be guessed from their hashes."""
    if salt is not None and len(salt) < SHORTEST_SALT:
        raise SettingsError(
            f"--salt must have at least {SHORTEST_SALT} characters, not {len(salt)}: with a short one, patient "
            "numbers can be guessed from their hashes"
        )


def _within(option: str, value: float, lowest: float, highest: float) -> None:
    if not (math.isfinite(value) and lowest <= value <= highest):
        raise SettingsError(f"{option} must be a number from {lowest} to {highest}, not {value}")
