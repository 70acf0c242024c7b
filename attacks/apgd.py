"""Auto-PGD (Croce and Hein 2020): PGD that sets its own step size, untargeted and targeted."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from purification_bench.attacks.auto_steps import climb
from purification_bench.attacks.ball import Ball
from purification_bench.attacks.base import Attack
from purification_bench.attacks.expectation import copies, is_random, mean_over_copies
from purification_bench.attacks.margin import dlr, targeted_dlr
from purification_bench.attacks.registry import register_attack
from purification_bench.attacks.steps import Loss, cross_entropy
from purification_bench.attacks.tries import most_wrong
from purification_bench.defenses.errors import at_least_one, unknown_name

LOSSES: dict[str, Loss] = {"ce": cross_entropy, "dlr": dlr}
Turns = Callable[[int, Tensor], Loss]
"""Of the number of a turn and of the rows of images that take it, what they climb."""


@register_attack("apgd")
class APGD(Attack):
    """Auto-PGD, untargeted, on cross-entropy or the difference-of-logits ratio (Croce and Hein 2020).

    Of a random model the loss of a step is a mean over the draws of that step, which flatters the luckiest: so the best
    of each stretch of steps, and the last, are compared over ten draws of their own.
    """

    iterates = True
    version = "3"

    def __init__(self, *, loss: str = "ce", steps: int = 100, restarts: int = 1) -> None:
        at_least_one(steps=steps, restarts=restarts)
        if loss not in LOSSES:
            raise unknown_name("loss of apgd:", loss, LOSSES)
        self.loss, self.steps, self.restarts = loss, steps, restarts
        self.gradients_per_image = (steps + 1) * restarts

    def perturb(self, model: nn.Module, x: Tensor, y: Tensor, eps: float) -> Tensor:
        """Climb from random points of the ball."""
        return _in_turn(model, x, y, eps, self.steps, range(self.restarts), lambda turn, rows: LOSSES[self.loss])


@register_attack("apgdt")
class APGDT(Attack):
    """Auto-PGD towards each of the most likely wrong classes in turn, on the targeted difference-of-logits ratio."""

    iterates = True
    version = "3"

    def __init__(self, *, steps: int = 100, targets: int = 9) -> None:
        at_least_one(steps=steps, targets=targets)
        self.steps, self.targets = steps, targets
        self.gradients_per_image = (steps + 1) * targets

    def perturb(self, model: nn.Module, x: Tensor, y: Tensor, eps: float) -> Tensor:
        """Climb towards one class after the other, the likeliest first."""
        with torch.no_grad():
            logits = mean_over_copies(model(x), model)
        wrong = logits.scatter(1, y[:, None], -torch.inf).argsort(dim=1, descending=True)

        def towards(turn: int, rows: Tensor) -> Loss:
            return lambda logits, y: targeted_dlr(logits, y, wrong[rows, turn])

        return _in_turn(model, x, y, eps, self.steps, range(min(self.targets, logits.shape[1] - 1)), towards)


def _in_turn(
    model: nn.Module, x: Tensor, y: Tensor, eps: float, steps: int, turns: Iterable[int], climbs: Turns
) -> Tensor:
    """Climb once a turn; return each image's misclassified x_adv, else that of the highest loss.

    Where one draw proves nothing, every image takes every turn, and further draws decide.
    """
    if is_random(model) or copies(model) > 1:
        rows = torch.arange(len(x), device=x.device)
        ends = []
        for turn in turns:
            passed = climb(model, x, y, _anywhere(x, eps, copies(model)), Ball(eps), steps, climbs(turn, rows))
            ends.append(most_wrong(model, passed.ends, y))
        return most_wrong(model, ends, y)
    found, highest = x.clone(), x.new_full((len(x),), -torch.inf)
    for turn in turns:
        rows = (highest < torch.inf).nonzero()[:, 0]
        if len(rows) == 0:
            break
        passed = climb(model, x[rows], y[rows], _anywhere(x[rows], eps), Ball(eps), steps, climbs(turn, rows))
        height = torch.where(passed.fooled, torch.inf, passed.highest)
        x_adv = torch.where(passed.fooled[:, None, None, None], passed.fooling, passed.best)
        better = height > highest[rows]
        found[rows[better]], highest[rows[better]] = x_adv[better], height[better]
    return found


def _anywhere(x: Tensor, eps: float, samples: int = 1) -> Tensor:
    """Return random points of the balls around x, the same for all copies of an image."""
    noise = torch.empty_like(x[: len(x) // samples]).uniform_(-eps, eps).repeat(samples, 1, 1, 1)
    return (x + noise).clamp(0, 1)
