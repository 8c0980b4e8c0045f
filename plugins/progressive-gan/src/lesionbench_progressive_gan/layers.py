"""The layers of the networks (Karras et al. 2017, sections 3 and 4)."""

from __future__ import annotations

from math import prod, sqrt
from typing import Any, Literal

import torch
from torch import nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from lesionbench.torchkit.optimizers import Adam

GAIN = sqrt(2)  # He's gain, for layers followed by a leaky ReLU
GROUP = 4  # images over which the discriminator sees the standard deviation (section 3)
EPSILON = 1e-8

Resampling = Literal["none", "up", "down"]


class Equalized(nn.Module):
    """A layer with an equalized learning rate (section 4.1).

    The paper stores weights from N(0, 1) and multiplies them by `scale` at every use. Here the product is stored, and
    `EqualizedAdam` changes it as the paper's weights would change it.

    shape: of the weights, outputs first.
    """

    def __init__(self, shape: tuple[int, ...], gain: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(shape))
        self.bias = nn.Parameter(torch.empty(shape[0]))
        self.scale = gain / sqrt(prod(shape[1:]))


class Linear(Equalized):
    """Features (B, before) to (B, after)."""

    def __init__(self, before: int, after: int, gain: float = GAIN) -> None:
        super().__init__((after, before), gain)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return functional.linear(features, self.weight, self.bias)


class Convolution(Equalized):
    """Features (B, before, H, W) to (B, after, H, W), or to twice or half the height and width.

    `up` is nearest-neighbour upsampling followed by the convolution, `down` the convolution followed by average
    pooling. A sum over each 2 x 2 window is part of both, and commutes with the convolution; so the convolution has a
    stride of 2, for a quarter of the work. The weights of `down` are a quarter as large, so that its sums are means.
    """

    def __init__(
        self, before: int, after: int, kernel: int = 3, gain: float = GAIN, resampling: Resampling = "none"
    ) -> None:
        super().__init__((after, before, kernel, kernel), gain)
        self.padding = kernel // 2
        self.resampling = resampling
        if resampling == "down":
            self.scale /= 4

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        if self.resampling == "up":
            # A transposed convolution applies its kernel mirrored.
            kernel = self.weight.flip(2, 3).transpose(0, 1)
            return window_sum(functional.conv_transpose2d(features, kernel, self.bias / 4, stride=2))
        if self.resampling == "down":
            return functional.conv2d(window_sum(features, border=True), self.weight, self.bias, stride=2)
        return functional.conv2d(features, self.weight, self.bias, padding=self.padding)


class WindowSum(torch.autograd.Function):
    """`window_sum`, with a gradient that can be differentiated again."""

    @staticmethod
    def forward(ctx: Any, features: torch.Tensor, border: bool) -> torch.Tensor:
        ctx.border = border
        whole = functional.pad(features, (1, 1, 1, 1)) if border else features
        rows = whole[..., 1:, :] + whole[..., :-1, :]
        return rows[..., 1:] + rows[..., :-1]

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        return window_sum(gradient, not ctx.border), None


def window_sum(features: torch.Tensor, border: bool = False) -> torch.Tensor:
    """The sums over all 2 x 2 windows of features (B, C, H, W): (B, C, H - 1, W - 1).

    With a border of zeros around the features, (B, C, H + 1, W + 1). Over 16 features or fewer, `avg_pool2d` takes 2 to
    7 times as long.
    """
    sums: torch.Tensor = WindowSum.apply(features, border)
    return sums


def draw_weights(network: nn.Module, random: torch.Generator) -> None:
    """Draw every weight from N(0, scale) and set every bias to 0."""
    for module in network.modules():
        if isinstance(module, Equalized):
            nn.init.normal_(module.weight, std=module.scale, generator=random)
            nn.init.zeros_(module.bias)


class EqualizedAdam:
    """Adam for a network of equalized layers: each weight has the learning rate of its scale (section 4.1).

    Let w = scale * v. Adam changes v by rate * m / (sqrt(s) + eps), where m and s are the moments of v's gradient,
    which is `scale` times w's. In terms of w's moments, w changes by (rate * scale) * m / (sqrt(s) + eps / scale).
    """

    def __init__(self, network: nn.Module, learning_rate: float, betas: tuple[float, float]) -> None:
        equal: dict[float, list[nn.Parameter]] = {1.0: []}
        for layer in network.modules():
            if isinstance(layer, Equalized):
                equal.setdefault(layer.scale, []).append(layer.weight)
                equal[1.0].append(layer.bias)
        self.parts = [Adam(some, learning_rate * scale, betas, EPSILON / scale) for scale, some in equal.items()]

    def zero_grad(self) -> None:
        """Forget the gradients of the last step."""
        for part in self.parts:
            part.zero_grad()

    def step(self) -> None:
        """Change the weights by their gradients."""
        for part in self.parts:
            part.step()

    def state_dict(self) -> dict[str, Any]:
        """The state, for a checkpoint."""
        return {"parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state_dict: dict[str, Any], /) -> None:
        """Set a state that `state_dict` gave."""
        for part, state in zip(self.parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)


class PixelNorm(torch.autograd.Function):
    """`pixel_norm`, with a gradient in half as many operations as torch would derive."""

    @staticmethod
    def forward(ctx: Any, features: torch.Tensor) -> torch.Tensor:
        factor = torch.rsqrt(mean_feature(features.square()) + EPSILON)
        normed = features * factor
        ctx.save_for_backward(normed, factor)
        return normed

    @staticmethod
    @once_differentiable  # a second derivative would miss that of `factor`
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        normed, factor = ctx.saved_tensors
        return torch.addcmul(gradient, normed, mean_feature(gradient * normed), value=-1).mul_(factor)


def mean_feature(features: torch.Tensor) -> torch.Tensor:
    """The mean over C of features (B, C, ...): (B, 1, ...).

    It is a matrix product: over 8 features, `mean` takes twice as long, and in a step at 32 px the gain is about 2%.
    """
    channels = features.shape[1]
    return (features.movedim(1, -1) @ features.new_full((channels,), 1 / channels)).unsqueeze(1)


def pixel_norm(features: torch.Tensor) -> torch.Tensor:
    """The features (B, C, ...), scaled to a mean square of 1 over C (section 4.2)."""
    normed: torch.Tensor = PixelNorm.apply(features)
    return normed


def leaky(features: torch.Tensor) -> torch.Tensor:
    """Leaky ReLU with slope 0.2, in place."""
    return functional.leaky_relu_(features, 0.2)


def with_deviation(features: torch.Tensor) -> torch.Tensor:
    """The features (B, C, H, W) with one more map: how much the images of each group vary (section 3).

    A group is GROUP consecutive images, or the whole batch if it is smaller; B is a multiple of the group's size. The
    map's value is the group's standard deviation of each feature at each position, averaged over both.
    """
    count, channels, height, width = features.shape
    groups = features.float().reshape(-1, min(GROUP, count), channels, height, width)
    centred = groups - groups.mean(1, keepdim=True)
    # `var` takes several times as long over this axis.
    deviation = (centred.square().mean(1) + EPSILON).sqrt().mean((1, 2, 3))  # (groups,)
    each = deviation.repeat_interleave(groups.shape[1]).view(count, 1, 1, 1)
    return torch.cat([features, each.expand(-1, 1, height, width).to(features.dtype)], dim=1)


def upsampled(images: torch.Tensor) -> torch.Tensor:
    """Images (B, C, H, W) at twice the height and width, every pixel repeated."""
    return functional.interpolate(images, scale_factor=2.0, mode="nearest")


def downsampled(images: torch.Tensor, factor: int = 2) -> torch.Tensor:
    """Images (B, C, H, W) at 1 / factor of the height and width, pixels averaged."""
    return functional.avg_pool2d(images, factor) if factor > 1 else images
