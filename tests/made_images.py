"""Small images as a user has them in arrays."""

import numpy as np

import lesionbench

CLASSES = ("<b>be&nign</b>", "malignant")


def small_images(seed: int = 0, count: int = 60):
    """Noise that is brighter in one class; two images for each patient; a class whose name is markup."""
    generator = np.random.default_rng(seed)
    patients = np.arange(count) // 2
    labels = patients % 2
    pixels = generator.normal(100, 30, (count, 12, 12, 1)) + 20 * labels[:, None, None, None]
    names = np.array(CLASSES)[labels]
    return lesionbench.images(
        pixels.clip(0, 255).astype(np.uint8), names, [f"patient {p}" for p in patients], positive_class="malignant"
    )
