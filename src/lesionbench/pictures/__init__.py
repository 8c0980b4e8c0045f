"""Drawing into PNG files: rows of images, training curves, real beside synthetic images.

Plugins may import the names below.
"""

from __future__ import annotations

from lesionbench.pictures.drawing import file_stems, save_curves, save_rows
from lesionbench.pictures.real_beside_synthetic import IMAGES_PER_ROW, save_comparisons

__all__ = ["IMAGES_PER_ROW", "file_stems", "save_comparisons", "save_curves", "save_rows"]
