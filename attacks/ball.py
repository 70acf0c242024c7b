"""Norm balls around images: the steepest step in one, and the way back into it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from purification_bench.attacks.threat import Norm


@dataclass(frozen=True)
class Ball:
    """All images of [0, 1] within ``radius`` (pixel units) of x, in ``norm``."""

    radius: float
    norm: Norm = "linf"

    def steepest(self, direction: Tensor) -> Tensor:
        """Return the step ``(N, C, H, W)`` of norm 1 that goes furthest along a direction."""
        return direction.sign() if self.norm == "linf" else direction / lengths(direction)

    def inside(self, x: Tensor, moved: Tensor) -> Tensor:
        """Return the images ``(N, C, H, W)`` brought back to the ball around x, then to [0, 1]."""
        delta = moved - x
        if self.norm == "linf":
            delta = delta.clamp(-self.radius, self.radius)
        else:
            delta = delta * (self.radius / lengths(delta)).clamp(max=1)
        return (x + delta).clamp(0, 1)


def lengths(delta: Tensor) -> Tensor:
    """Return each image's L2 norm ``(N, 1, 1, 1)``, never 0."""
    norms: Tensor = delta.flatten(1).norm(dim=1).clamp_min(torch.finfo(delta.dtype).tiny)
    return norms[:, None, None, None]
