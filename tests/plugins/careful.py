"""Defenses that reject: one what is bright, one everything."""

from __future__ import annotations

import torch
from torch import Tensor

from purification_bench.defenses import register_defense


@register_defense("careful")
class Careful:
    """Passes images on, and refuses bright ones."""

    def purify(self, x: Tensor) -> Tensor:
        return x

    def rejects(self, x: Tensor) -> Tensor:
        return x.mean(dim=(1, 2, 3)) > 0.36


@register_defense("refuser")
class Refuser:
    """Adds a little noise, and refuses everything."""

    stochastic = True

    def purify(self, x: Tensor) -> Tensor:
        return (x + 0.01 * torch.randn_like(x)).clamp(0, 1)

    def rejects(self, x: Tensor) -> Tensor:
        return torch.ones(len(x), dtype=torch.bool, device=x.device)
