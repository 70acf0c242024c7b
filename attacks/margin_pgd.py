"""PGD with momentum up the margin: the plain attack that takes the most from purifiers that draw at random."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from purification_bench.attacks.ball import Ball
from purification_bench.attacks.base import Attack
from purification_bench.attacks.expectation import is_random
from purification_bench.attacks.margin import lead_up_to_enough
from purification_bench.attacks.pursuit import Pursuit
from purification_bench.attacks.registry import register_attack
from purification_bench.attacks.steps import Steps, far_then_near, must_reach
from purification_bench.attacks.tries import how_wrong, most_wrong
from purification_bench.defenses.errors import at_least_one, below_one


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
        """Climb from each start; of several, keep each image's best.

        An image that a defense without randomness gets wrong is climbed from no further start.
        """
        steps, (first, *others) = self._steps(eps), self._starts(x, eps)
        x_adv = steps.climbed(model, x, y, first)
        if not getattr(model, "exact", False) or is_random(model):
            return most_wrong(model, [x_adv, *(steps.climbed(model, x, y, start) for start in others)], y)
        for start in others:
            left = (how_wrong(model, x_adv, y) <= 0).nonzero()[:, 0]
            if not len(left):
                break
            climbed = steps.climbed(model, x[left], y[left], start[left])
            x_adv[left] = most_wrong(model, [x_adv[left], climbed], y[left])
        return x_adv

    def pursue(self, pursuit: Pursuit, x: Tensor, y: Tensor, eps: float, start: Tensor | None) -> Tensor:
        """Climb from the first start, then, with what it left unbroken, from all others in one batch."""
        first, *others = self._starts(x, eps)
        return pursuit.run(x, y, [first if start is None else start, *others], self._steps(eps))

    def check(self, eps: float) -> str | None:
        """Refuse steps that cannot reach the boundary of the ball."""
        must_reach(self.spec.label, self._steps(eps).sizes, eps)
        return None

    def _steps(self, eps: float) -> Steps:
        return Steps(Ball(eps), far_then_near(self.steps, eps), lead_up_to_enough, self.momentum)

    def _starts(self, x: Tensor, eps: float) -> list[Tensor]:
        """Return where to climb from; of copies tied for an expectation, the first's starts count."""
        others = [(x + torch.empty_like(x).uniform_(-eps, eps)).clamp(0, 1) for _ in range(self.restarts - 1)]
        return [x, *others]
