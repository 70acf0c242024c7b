"""Expectation over transformation: gradients averaged over draws of a model's randomness (Athalye et al. 2018)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class Tied(nn.Module):
    """``samples`` stacked copies of a batch as one batch.

    It hands each copy the first copy's pixels and a draw of its own, and gives each copy the mean of all copies'
    gradients. So whatever loss an attack takes of the logits, the first copy moves along the average *loss gradient*
    (not the gradient of averaged logits), in one pass, and the attack knows nothing of it.

    Of a model that draws once for a whole batch, ``apart`` makes one pass for each copy.
    """

    def __init__(self, model: nn.Module, samples: int, apart: bool = False) -> None:
        super().__init__()
        self.model = model
        self.samples = samples
        self.apart = apart

    def stacked(self, x: Tensor, y: Tensor) -> tuple[Tied, Tensor, Tensor]:
        """Return this model with the stacked copies of images and labels that it takes."""
        return self, x.repeat(self.samples, 1, 1, 1), y.repeat(self.samples)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of all copies ``(samples * N, K)``."""
        tied = _TieCopies.apply(x, self.samples)
        return torch.cat([self.model(part) for part in (tied.chunk(self.samples) if self.apart else [tied])])


class _TieCopies(torch.autograd.Function):
    """Forward, every copy is the first; backward, every copy's gradient is the mean of all."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, samples: int) -> Tensor:
        ctx.samples = samples
        return x[: len(x) // samples].repeat(samples, 1, 1, 1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        mean = gradients[0].unflatten(0, (ctx.samples, -1)).mean(dim=0)
        return mean.repeat(ctx.samples, 1, 1, 1), None


@torch.no_grad()
def shares_draws(model: nn.Module, x: Tensor) -> bool:
    """Say whether two copies of the images ``x`` in one batch of ``model`` get one draw of its randomness."""
    first, second = model(x.repeat(2, 1, 1, 1)).chunk(2)
    return torch.allclose(first, second, rtol=1e-5, atol=1e-6)


def is_random(model: nn.Module) -> bool:
    """Say whether two answers of ``model`` to one image may differ, as its parts declare."""
    declared = getattr(model, "stochastic", None)
    return any(map(is_random, model.children())) if declared is None else bool(declared)


def mean_over_copies(values: Tensor, model: nn.Module) -> Tensor:
    """Give each copy of an image the mean over all its copies of ``values`` ``(samples * N, ...)``."""
    samples = copies(model)
    mean = values.unflatten(0, (samples, -1)).mean(dim=0)
    return torch.cat([mean] * samples)


def first_copy(model: nn.Module, x: Tensor, y: Tensor) -> tuple[nn.Module, Tensor, Tensor]:
    """Return the model without the expectation, and images and labels once: for attacks that average by themselves."""
    n = len(x) // copies(model)
    return (model.model if isinstance(model, Tied) else model), x[:n], y[:n]


def copies(model: nn.Module) -> int:
    """Return how many copies of each image ``model`` takes."""
    return model.samples if isinstance(model, Tied) else 1
