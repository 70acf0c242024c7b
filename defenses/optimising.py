"""One step of an optimiser."""

from __future__ import annotations

from torch import Tensor
from torch.optim import Optimizer


def descend(loss: Tensor, optimizer: Optimizer) -> None:
    """Take one step down the gradient of a loss, and of nothing before it."""
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
