"""torchattacks' inner runs, where its own loops over them do not serve: loaded when an attack runs, for it is slow."""

from __future__ import annotations

import torch
import torchattacks
from torch import Tensor
from torchattacks import APGD, Square

__all__ = ["APGD", "Square", "Targeted", "UnendingSquare"]


class Targeted(torchattacks.APGDT):  # type: ignore[misc]
    """torchattacks' inner run towards given classes: it would choose them on one draw, for each copy another."""

    goals: Tensor

    def dlr_loss_targeted(self, x: Tensor, y: Tensor, y_target: Tensor) -> Tensor:
        """Return the loss ``(N,)`` of logits towards ``goals``."""
        loss: Tensor = super().dlr_loss_targeted(x, y, self.goals)
        return loss


class UnendingSquare(torchattacks.Square):  # type: ignore[misc]
    """Square that never stops: what ends its search is a margin of 0 or less."""

    def margin_and_loss(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return a margin that is no success, and the loss ``(N,)`` that decides."""
        margins, losses = super().margin_and_loss(x, y)
        return torch.ones_like(margins), losses
