"""torchattacks' inner run of Square, whose own loop does not serve: loaded when an attack runs, for it is slow."""

from __future__ import annotations

import torch
import torchattacks
from torch import Tensor
from torchattacks import Square

__all__ = ["Square", "UnendingSquare"]


class UnendingSquare(torchattacks.Square):  # type: ignore[misc]
    """Square that never stops: what ends its search is a margin of 0 or less."""

    def margin_and_loss(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return a margin that is no success, and the loss ``(N,)`` that decides."""
        margins, losses = super().margin_and_loss(x, y)
        return torch.ones_like(margins), losses
