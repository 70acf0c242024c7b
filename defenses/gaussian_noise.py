"""Noise, and nothing else: what the averaging of gradients has to get through."""

from __future__ import annotations

import torch
from torch import Tensor

from purification_bench.defenses.base import Defense
from purification_bench.defenses.errors import positive
from purification_bench.defenses.registry import register_defense


@register_defense("gaussian_noise")
class GaussianNoise(Defense):
    """Add Gaussian noise to every pixel (in use alone: Gu and Rigazio 2014).

    Parameters
    ----------
    sigma:
        Its standard deviation, in pixel units.
    """

    paper = "Gu and Rigazio 2014, arXiv:1412.5068"
    stochastic = True

    def __init__(self, *, sigma: float = 0.25) -> None:
        super().__init__()
        positive(sigma=sigma)
        self.sigma = self.smoothing_sigma = sigma

    def purify(self, x: Tensor) -> Tensor:
        """Return noisy images, clipped to [0, 1]."""
        return (x + self.sigma * torch.randn_like(x)).clamp(0, 1)
