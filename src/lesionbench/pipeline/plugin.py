"""The base of every plugin class: the class is its settings."""

from __future__ import annotations

from abc import ABC
from typing import TYPE_CHECKING, ClassVar

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from pathlib import Path


class Plugin(BaseModel, ABC):
    """Settings that validate themselves: frozen, every one with a default, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    name: ClassVar[str]

    def input_files(self) -> list[Path]:
        """The files a fit reads beside its images, such as pretrained weights: results depend on their content.

        Asked before anything runs; raises SettingsError when one of them cannot be used.
        """
        return []
