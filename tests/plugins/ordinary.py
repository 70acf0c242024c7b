"""Honest controls of the checks on cheats: what anybody might do to an image."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from purification_bench.defenses import Defense, register_defense


@register_defense("honest_blur")
class Blur(Defense):
    """A mean of nine pixels."""

    def purify(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(x, 3, stride=1, padding=1)


@register_defense("honest_noise")
class Noise(Defense):
    """Gaussian noise of a quarter, from torch: as worst of ten draws it looks worse than it is."""

    stochastic = True

    def purify(self, x: Tensor) -> Tensor:
        return (x + 0.25 * torch.randn_like(x)).clamp(0, 1)


@register_defense("honest_contrast")
class Contrast(Defense):
    """A smooth curve that draws grey levels apart."""

    def purify(self, x: Tensor) -> Tensor:
        return 0.5 + 0.5 * torch.tanh(4 * (x - 0.5)) / torch.tanh(torch.tensor(2.0))
