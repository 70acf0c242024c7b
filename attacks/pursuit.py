"""Signed-gradient steps that go on only with images that are not broken yet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from purification_bench.attacks.expectation import Tied, shares_draws

LOOKS = 10
"""How often an attack looks which images are broken: after a tenth of its steps, but not after each single one."""

Broken = Callable[[Tensor, Tensor], Tensor]
"""Says of x_adv ``(N, C, H, W)`` with labels ``(N,)`` which images are broken for good, ``(N,)``."""


@dataclass(frozen=True)
class Confirmed:
    """Says that an image is broken when ``draws`` answers of a defended classifier, drawn for this, are all wrong."""

    defended: nn.Module
    draws: int

    @torch.no_grad()
    def __call__(self, x_adv: Tensor, y: Tensor) -> Tensor:
        """Return which images are broken, ``(N,)``."""
        wrong = torch.ones_like(y, dtype=torch.bool)
        for _ in range(self.draws):
            left = wrong.nonzero()[:, 0]
            if not len(left):
                break
            wrong[left] = self.defended(x_adv[left]).argmax(dim=1) != y[left]
        return wrong


@dataclass(frozen=True)
class Pursuit:
    """What an attack chases: a model that gives gradients, and who says when an image is caught."""

    model: nn.Module
    broken: Broken
    samples: int = 1
    """Draws of the model's randomness that each gradient is averaged over."""
    batch: int = 250
    """Images that a gradient is taken of at once."""

    def run(self, x: Tensor, y: Tensor, start: Tensor, eps: float, step_size: float, steps: int) -> Tensor:
        """Return x_adv for images ``(N, C, H, W)`` in [0, 1], each as it was when it was first seen to be broken."""
        x_adv, left = start.clone(), torch.arange(len(x), device=x.device)
        apart = self.samples > 1 and shares_draws(self.model, x[: self.batch])
        every = max(2, steps // LOOKS)
        for step in range(1, steps + 1):
            parts = zip(x_adv[left].split(self.batch), y[left].split(self.batch), strict=True)
            moved = x_adv[left] + step_size * torch.cat([self._gradient(*part, apart) for part in parts]).sign()
            x_adv[left] = (x[left] + (moved - x[left]).clamp(-eps, eps)).clamp(0, 1)
            if step % every == 0 and step < steps:
                left = left[~self.broken(x_adv[left], y[left])]
                if not len(left):
                    break
        return x_adv

    def _gradient(self, x: Tensor, y: Tensor, apart: bool) -> Tensor:
        model, images, labels = self.model, x, y
        if self.samples > 1:
            model, images, labels = Tied(self.model, self.samples, apart).stacked(x, y)
        images = images.detach().requires_grad_()
        loss = F.cross_entropy(model(images), labels, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, images)
        return gradient[: len(x)]
