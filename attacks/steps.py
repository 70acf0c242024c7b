"""Steps along gradients: how large, up which loss, and how much of the way before they keep."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from purification_bench.attacks.ball import Ball
from purification_bench.defenses.errors import UserError

Loss = Callable[[Tensor, Tensor], Tensor]
"""Of logits ``(N, K)`` and labels ``(N,)`` what each image climbs, ``(N,)``."""

SCHEDULE = ((0.5, 1 / 6), (0.3, 1 / 15), (0.2, 1 / 30))
"""Shares of the steps, and the step size there as a share of eps: far first, then ever nearer."""


def cross_entropy(logits: Tensor, y: Tensor) -> Tensor:
    """Return each image's cross-entropy ``(N,)``."""
    return F.cross_entropy(logits, y, reduction="none")


def ascent(loss: Loss, model: nn.Module, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Return the gradient ``(N, C, H, W)`` of a loss, added up over images, and the logits ``(N, K)``."""
    images = x.detach().requires_grad_()
    logits = model(images)
    (gradient,) = torch.autograd.grad(loss(logits, y).sum(), images)
    return gradient, logits.detach()


def far_then_near(steps: int, eps: float) -> tuple[float, ...]:
    """Return the size of each step, in pixel units: large ones first, which cross the ball, then ever smaller ones."""
    sizes: list[float] = []
    passed = 0.0
    for share, size in SCHEDULE:
        passed += share
        sizes += [size * eps] * (round(passed * steps) - len(sizes))
    return tuple(sizes)


def must_reach(label: str, sizes: Sequence[float], eps: float) -> None:
    """Raise ``UserError`` for steps that cannot reach the boundary of the ball."""
    reach = sum(sizes)
    if reach < eps:
        raise UserError(f"{label}: {len(sizes)} steps reach {reach:g}, not eps {eps:g}; raise steps")


@dataclass(frozen=True)
class Steps:
    """The steps of one attack at one size."""

    ball: Ball
    """Where they stay."""
    sizes: tuple[float, ...]
    """Of each step, in pixel units."""
    loss: Loss = cross_entropy
    momentum: float = 0.0
    """Share of the direction before that a step keeps; gradients are brought to L1 norm 1 to be added up."""

    def gradient(self, model: nn.Module, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gradient ``(N, C, H, W)`` of the loss, and the logits ``(N, K)``."""
        return ascent(self.loss, model, x, y)

    def direction(self, gradient: Tensor, before: Tensor) -> Tensor:
        """Return where the next step goes, by the gradient and the direction before."""
        if not self.momentum:
            return gradient
        length = gradient.abs().sum(dim=(1, 2, 3), keepdim=True)
        return self.momentum * before + gradient / length.clamp_min(torch.finfo(gradient.dtype).tiny)

    def moved(self, number: int, x: Tensor, x_adv: Tensor, direction: Tensor) -> Tensor:
        """Take a step from x_adv, and go back to the ball around x and to [0, 1]."""
        return self.ball.inside(x, x_adv + self.sizes[number] * self.ball.steepest(direction))

    def climbed(self, model: nn.Module, x: Tensor, y: Tensor, start: Tensor) -> Tensor:
        """Return the images after all steps from ``start``, up the gradient that each gives."""
        x_adv, direction = start, torch.zeros_like(x)
        for number in range(len(self.sizes)):
            gradient, _ = self.gradient(model, x_adv, y)
            direction = self.direction(gradient, direction)
            x_adv = self.moved(number, x, x_adv, direction)
        return x_adv
