"""PGD with momentum up the margin: the plain attack that takes the most from purifiers that draw at random."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from purification_bench.attacks.base import Attack
from purification_bench.attacks.expectation import copies, is_random, mean_over_copies
from purification_bench.attacks.margin import margin
from purification_bench.attacks.pursuit import Pursuit
from purification_bench.attacks.registry import register_attack
from purification_bench.attacks.steps import Steps, far_then_near, must_reach
from purification_bench.defenses.errors import at_least_one, below_one

ENOUGH = 10.0
"""Margin in logits beyond which an image is left alone: others need the step more, where copies are averaged."""
JUDGES = 10
"""Draws of a random model that choose between restarts, apart from those that gradients are averaged over."""


@register_attack("pgd_margin")
class MarginPGD(Attack):
    """PGD with momentum that climbs the lead of the likeliest wrong class; the last iterate counts.

    Momentum as in Dong et al. 2018, the loss as in Carlini and Wagner 2017. Never does one draw of a random model
    choose what is kept: the last iterate is taken as it is, and restarts are compared over ten draws of their own.

    Parameters
    ----------
    steps:
        Half of them of size eps/6, three tenths of eps/15, the rest of eps/30.
    restarts:
        The first from the image itself, others from random points of the ball.
    momentum:
        Share of the direction before that a step keeps.
    """

    iterates = True
    pursues = True
    probes_planted = True

    def __init__(self, *, steps: int = 100, restarts: int = 1, momentum: float = 0.75) -> None:
        at_least_one(steps=steps, restarts=restarts)
        below_one(momentum=momentum)
        self.steps, self.restarts, self.momentum = steps, restarts, momentum
        self.gradients_per_image = steps * restarts

    def perturb(self, model: nn.Module, x: Tensor, y: Tensor, eps: float) -> Tensor:
        """Climb from each start; of several, keep each image's best."""
        found = [self._climbed(model, x, y, start, eps) for start in self._starts(x, eps)]
        if len(found) == 1:
            return found[0]
        best = torch.stack([_lead(model, x_adv, y) for x_adv in found]).argmax(dim=0)
        return torch.stack(found)[best, torch.arange(len(x), device=x.device)]

    def pursue(self, pursuit: Pursuit, x: Tensor, y: Tensor, eps: float, start: Tensor | None) -> Tensor:
        """Climb from the first start, then, with what it left unbroken, from all others in one batch."""
        first, *others = self._starts(x, eps)
        return pursuit.run(x, y, [first if start is None else start, *others], self._steps(eps))

    def check(self, eps: float) -> str | None:
        """Refuse steps that cannot reach the boundary of the ball."""
        must_reach(self.spec.label, self._steps(eps).sizes, eps)
        return None

    def _climbed(self, model: nn.Module, x: Tensor, y: Tensor, start: Tensor, eps: float) -> Tensor:
        steps, x_adv, direction = self._steps(eps), start, torch.zeros_like(x)
        for number in range(self.steps):
            gradient, _ = steps.gradient(model, x_adv, y)
            direction = steps.direction(gradient, direction)
            x_adv = steps.moved(number, x, x_adv, direction)
        return x_adv

    def _steps(self, eps: float) -> Steps:
        return Steps(eps, far_then_near(self.steps, eps), lead_up_to_enough, self.momentum)

    def _starts(self, x: Tensor, eps: float) -> list[Tensor]:
        """Return where to climb from; of copies tied for an expectation, the first's starts count."""
        others = [(x + torch.empty_like(x).uniform_(-eps, eps)).clamp(0, 1) for _ in range(self.restarts - 1)]
        return [x, *others]


def lead_up_to_enough(logits: Tensor, y: Tensor) -> Tensor:
    """Return the margin ``(N,)`` of the likeliest wrong class, flat where it is enough."""
    return margin(logits, y).clamp(max=ENOUGH)


@torch.no_grad()
def _lead(model: nn.Module, x_adv: Tensor, y: Tensor) -> Tensor:
    """Return how wrong each image ``(N,)`` is, from -1 to 1: near its errors' share, over draws made for this."""
    samples = copies(model)
    draws = -(-JUDGES // samples) if samples > 1 or is_random(model) else 1
    return torch.stack([mean_over_copies(margin(model(x_adv), y).tanh(), model) for _ in range(draws)]).mean(dim=0)
