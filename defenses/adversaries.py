"""Two networks that are trained in turn, each by its own optimiser."""

from __future__ import annotations

from torch import Tensor
from torch.optim import Optimizer


def descend(loss: Tensor, optimizer: Optimizer) -> None:
    """Take one step down a loss, with gradients of nothing else."""
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
