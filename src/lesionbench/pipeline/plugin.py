"""The base of every plugin class: the class is its settings."""

from __future__ import annotations

from abc import ABC
from typing import TYPE_CHECKING, ClassVar, Self

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from pathlib import Path


class Plugin(BaseModel, ABC):
    """Settings that validate themselves: frozen, each with a default; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    name: ClassVar[str]
    cores: ClassVar[int | None] = None  # processor cores that one fit uses; None: one
    memory_gb: ClassVar[float | None] = None  # gigabytes (10^9 bytes) that one fit needs at its peak; None: as measured
    gpus: ClassVar[int | None] = None  # GPUs that one fit uses; None: one where the experiment runs on a GPU, else none

    def input_files(self) -> list[Path]:
        """The files that a fit reads in addition to its images, such as pretrained weights: results depend on them.

        Called before anything runs; raises SettingsError if a file cannot be used.
        """
        return []

    def shortened(self, steps: int) -> Self | None:
        """A copy whose fit takes this many optimizer steps, or None when no setting of that kind exists.

        A plan times two such fits to know how long a whole one takes. By default it is the setting `steps`.
        """
        return self.model_copy(update={"steps": steps}) if "steps" in type(self).model_fields else None

    @property
    def more_images_train_longer(self) -> bool:
        """Whether the number of steps grows with the training images, as it does where epochs are counted."""
        return False
