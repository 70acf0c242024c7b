"""A stochastic defense with a relaxation: for tests that want every threat."""

from __future__ import annotations

import torch
from torch import Tensor

from purification_bench.defenses import Defense, register_defense


@register_defense("noisy")
class Noisy(Defense):
    """Gaussian noise."""

    stochastic = True

    def purify(self, x: Tensor) -> Tensor:
        """Add noise."""
        return (x + 0.1 * torch.randn_like(x)).clamp(0, 1)

    def relaxation(self, x: Tensor) -> Tensor:
        """Add none."""
        return x
