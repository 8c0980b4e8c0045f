"""Drawing into PNG files: rows of images, training curves, real beside synthetic images.

Plugins may import what is named here.
"""

from __future__ import annotations

from lesionbench.pictures.drawing import file_stems, save_curves, save_rows
from lesionbench.pictures.real_beside_synthetic import save_comparisons

__all__ = ["file_stems", "save_comparisons", "save_curves", "save_rows"]
