"""The base of every plugin class: the class is its settings."""

from __future__ import annotations

from abc import ABC
from typing import TYPE_CHECKING, ClassVar

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from pathlib import Path


class Plugin(BaseModel, ABC):
    """Settings that validate themselves: frozen, each with a default; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    name: ClassVar[str]

    def input_files(self) -> list[Path]:
        """The files that a fit reads in addition to its images, such as pretrained weights: results depend on them.

        Called before anything runs; raises SettingsError if a file cannot be used.
        """
        return []
