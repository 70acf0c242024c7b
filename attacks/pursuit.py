"""Signed steps that go on only with images that are not broken yet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from purification_bench.attacks.expectation import Tied, shares_draws
from purification_bench.attacks.steps import Steps

LOOKS = 10
"""How often an attack looks which images are broken: after a tenth of its steps, but not after each single one.

Then only at those that the attacked model got wrong just before, in every draw: confirming takes the defense itself."""

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

    def run(self, x: Tensor, y: Tensor, starts: Sequence[Tensor], steps: Steps) -> Tensor:
        """Return x_adv for images ``(N, C, H, W)`` in [0, 1], each as it was when it was first seen to be broken.

        First from the first of ``starts``, then, with what that leaves unbroken, from all others in one batch.
        """
        x_adv = self._chased(x, y, starts[0][None], steps)
        if len(starts) > 1:
            left = (~self.broken(x_adv, y)).nonzero()[:, 0]
            if len(left):
                x_adv[left] = self._chased(x[left], y[left], torch.stack([start[left] for start in starts[1:]]), steps)
        return x_adv

    def _chased(self, x: Tensor, y: Tensor, starts: Tensor, steps: Steps) -> Tensor:
        """Return x_adv from ``starts`` ``(R, N, C, H, W)`` in one batch.

        An image leaves with all its restarts once one of them has broken it; of one that stays, the first is returned.
        """
        restarts, n = len(starts), len(x)
        x_adv, before = starts.flatten(0, 1).clone(), torch.zeros_like(starts).flatten(0, 1)
        left, found = torch.arange(restarts * n, device=x.device), torch.arange(n, device=x.device)
        apart = self.samples > 1 and shares_draws(self.model, x[: self.batch])
        every = max(2, len(steps.sizes) // LOOKS)
        for number in range(len(steps.sizes)):
            parts = zip(x_adv[left].split(self.batch), y[left % n].split(self.batch), strict=True)
            gradient, wrong = map(torch.cat, zip(*(self._gradient(*part, steps, apart) for part in parts), strict=True))
            before[left] = steps.direction(gradient, before[left])
            x_adv[left] = steps.moved(number, x[left % n], x_adv[left], before[left])
            last = number + 1 == len(steps.sizes)
            looks = restarts > 1 if last else (number + 1) % every == 0
            if looks:
                doubted = left if last else left[wrong]
                broken = doubted[self.broken(x_adv[doubted], y[doubted % n])]
                found[broken % n] = broken
                left = left[~torch.isin(left % n, broken % n)]
                if not len(left):
                    break
        return x_adv[found]

    def _gradient(self, x: Tensor, y: Tensor, steps: Steps, apart: bool) -> tuple[Tensor, Tensor]:
        """Return gradients, and which images the model got wrong in every draw that they are averaged over."""
        model, images, labels = self.model, x, y
        if self.samples > 1:
            model, images, labels = Tied(self.model, self.samples, apart).stacked(x, y)
        gradient, logits = steps.gradient(model, images, labels)
        wrong = (logits.argmax(dim=1) != labels).unflatten(0, (self.samples, -1)).all(dim=0)
        return gradient[: len(x)], wrong
