"""From uint8 NHWC arrays to float NCHW tensors and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from lesionbench.pipeline.images import Images


def to_tensor(images: Images, device: str = "cpu") -> torch.Tensor:
    """uint8 (N, H, W, C) in 0..255 to float32 (N, C, H, W) in [-1, 1], channels last in memory."""
    pixels = torch.from_numpy(np.array(images)).to(device)  # a copy: torch refuses read-only arrays
    return pixels.permute(0, 3, 1, 2).float().div_(127.5).sub_(1.0)


def to_images(tensor: torch.Tensor) -> Images:
    """float (N, C, H, W) in [-1, 1] to uint8 (N, H, W, C), rounded; values outside the range are clipped."""
    pixels = tensor.detach().float().add(1.0).mul(127.5).round().clamp(0, 255)
    return pixels.to(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu().numpy()


def resized(images: Images, size: int) -> Images:
    """The images resized to size x size, uint8 (N, size, size, C): bilinear, antialiased when shrinking."""
    if images.shape[1:3] == (size, size) or not len(images):
        return images if len(images) else np.zeros((0, size, size, images.shape[3]), np.uint8)
    scaled = torch.nn.functional.interpolate(
        to_tensor(images), size=(size, size), mode="bilinear", align_corners=False, antialias=True
    )
    return to_images(scaled)
