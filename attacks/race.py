"""The attack on a defense that chooses the nearest of several candidates: let a wrong one win the race."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from purification_bench.attacks.ball import Ball
from purification_bench.attacks.base import Attack
from purification_bench.attacks.registry import register_attack
from purification_bench.attacks.steps import Steps, far_then_near, must_reach
from purification_bench.attacks.views import Candidates
from purification_bench.defenses.errors import at_least_one, below_one, positive

REMEMBERED = 6
"""Candidates of so many of the latest steps race."""


@register_attack("race")
class Race(Attack):
    """Steps that bring images nearer to candidates of a wrong class than to those of the right one.

    A purifier that projects, such as Defense-GAN, answers with the candidate nearest to x. Of each candidate image c,
    held where it is, the gradient of |x - c|^2 is exact and costs no backward pass: 2 (x - c). So the lead of the wrong
    candidates, each side's distance being the soft minimum over its candidates, is climbed in the open, where gradients
    through the search for them are noise. Steps and momentum are those of ``pgd_margin``.

    Parameters
    ----------
    steps:
        In each of which candidates are drawn anew.
    temperature:
        Of the soft minimum, in mean squared distance a pixel.
    momentum:
        Share of the direction before that a step keeps.
    """

    needs = "candidates"
    iterates = True

    def __init__(self, *, steps: int = 40, temperature: float = 0.01, momentum: float = 0.75) -> None:
        at_least_one(steps=steps)
        positive(temperature=temperature)
        below_one(momentum=momentum)
        self.steps, self.temperature, self.momentum = steps, temperature, momentum
        self.gradients_per_image = steps

    def check(self, eps: float) -> str | None:
        """Refuse steps that cannot reach the boundary of the ball."""
        must_reach(self.spec.label, far_then_near(self.steps, eps), eps)
        return None

    @torch.no_grad()
    def perturb(self, model: nn.Module, x: Tensor, y: Tensor, eps: float) -> Tensor:
        """Return the images after the last step: no draw chooses among them."""
        view = cast(Candidates, model)
        steps = Steps(Ball(eps, self.norm), far_then_near(self.steps, eps), momentum=self.momentum)
        x_adv, direction = x, torch.zeros_like(x)
        images, wrong = x.new_empty(len(x), 0, *x.shape[1:]), torch.empty(len(x), 0, dtype=torch.bool, device=x.device)
        for number in range(self.steps):
            drawn = view.candidates(x_adv)
            errs = view.classifier(drawn.flatten(0, 1)).argmax(dim=1).view(drawn.shape[:2]) != y[:, None]
            kept = REMEMBERED * drawn.shape[1]
            images, wrong = torch.cat([images, drawn], dim=1)[:, -kept:], torch.cat([wrong, errs], dim=1)[:, -kept:]
            direction = steps.direction(self._lead(x_adv, images, wrong), direction)
            x_adv = steps.moved(number, x, x_adv, direction)
        return x_adv

    def _lead(self, x: Tensor, images: Tensor, wrong: Tensor) -> Tensor:
        """Return the gradient, up to a factor, of the lead of wrong candidates ``(N, M, C, H, W)`` over right ones.

        Where all are of one kind, images go away from the right ones, or nearer to the wrong ones.
        """
        distances = (images - x[:, None]).square().mean(dim=(2, 3, 4))
        sides = []
        for side in (wrong, ~wrong):
            weights = (-distances / self.temperature).masked_fill(~side, -torch.inf).softmax(dim=1).nan_to_num()
            mean = (weights[:, :, None, None, None] * images).sum(dim=1)
            sides.append(torch.where(side.any(dim=1)[:, None, None, None], mean, x))
        return sides[0] - sides[1]


@register_attack("race_l2")
class RaceL2(Race):
    """``race`` in an L2 ball.

    Parameters
    ----------
    bound:
        Radius of the ball, in pixel units over the whole image.
    steps, temperature, momentum:
        As of ``race``.
    """

    norm = "l2"

    def __init__(
        self, *, bound: float = 1.5, steps: int = 40, temperature: float = 0.01, momentum: float = 0.75
    ) -> None:
        super().__init__(steps=steps, temperature=temperature, momentum=momentum)
        positive(bound=bound)
        self.bound = bound
