"""The base of every plugin class: the class is its settings."""

from __future__ import annotations

from abc import ABC
from typing import ClassVar

from pydantic import BaseModel, ConfigDict


class Plugin(BaseModel, ABC):
    """Settings that validate themselves: frozen, every one with a default, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    name: ClassVar[str]
