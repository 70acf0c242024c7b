"""The climb of Auto-PGD (Croce and Hein 2020, algorithm 1): steps that halve where the loss no longer rises."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from purification_bench.attacks.ball import Ball
from purification_bench.attacks.expectation import mean_over_copies
from purification_bench.attacks.margin import margin
from purification_bench.attacks.steps import Loss, ascent

MOMENTUM = 0.75
"""Share of a new step in the next move; the rest repeats the move before."""
RISING = 0.75
"""Share of the steps of a stretch that must raise the loss for the step size to stay."""
FIRST, SHORTER, SHORTEST = 0.22, 0.03, 0.06
"""Shares of all steps: the first stretch, how much shorter each next one is, and the shortest."""


@dataclass
class Climb:
    """What one climb passed: images ``(N, C, H, W)``, loss ``(N,)``."""

    best: Tensor
    """Of the highest loss."""
    highest: Tensor
    fooling: Tensor
    """The last that the model got wrong, where there was one (``fooled``, ``(N,)``)."""
    fooled: Tensor
    ends: list[Tensor] = field(default_factory=list)
    """The best so far at the end of every stretch, and the last."""


def climb(model: nn.Module, x: Tensor, y: Tensor, start: Tensor, ball: Ball, steps: int, loss: Loss) -> Climb:
    """Take ``steps`` steps from ``start``; an image whose step is halved goes back to its best."""
    passed = Climb(start, start.new_full((len(x),), -torch.inf), start, torch.zeros_like(y, dtype=torch.bool))
    size = start.new_full((len(x), 1, 1, 1), 2 * ball.radius)
    x_adv, before, uphill = start, start, torch.zeros_like(start)
    earlier, rises = passed.highest, torch.zeros_like(y)
    halved, at_halving = torch.ones_like(passed.fooled), passed.highest
    marks, stretch = ends_of_stretches(steps), 0
    for number in range(steps + 1):
        gradient, logits = ascent(loss, model, x_adv, y)
        height = mean_over_copies(loss(logits, y), model)
        fooled = mean_over_copies((margin(logits, y) > 0).float(), model) == 1
        passed.fooling, passed.fooled = _where(fooled, x_adv, passed.fooling), passed.fooled | fooled
        better = height > passed.highest
        passed.best, passed.highest = _where(better, x_adv, passed.best), torch.where(better, height, passed.highest)
        uphill = _where(better, gradient, uphill)
        rises, earlier, stretch = rises + (height > earlier), height, stretch + (number > 0)
        if number == steps:
            break
        if number in marks:
            stalled = (rises < RISING * stretch) | (~halved & (passed.highest <= at_halving))
            size = torch.where(stalled[:, None, None, None], size / 2, size)
            x_adv, gradient = _where(stalled, passed.best, x_adv), _where(stalled, uphill, gradient)
            halved, at_halving, rises, stretch = stalled, passed.highest, torch.zeros_like(rises), 0
            passed.ends.append(passed.best)
        stepped = ball.inside(x, x_adv + size * ball.steepest(gradient))
        if number:
            stepped = ball.inside(x, x_adv + MOMENTUM * (stepped - x_adv) + (1 - MOMENTUM) * (x_adv - before))
        before, x_adv = x_adv, stepped
    passed.ends += [passed.best, x_adv]
    return passed


def ends_of_stretches(steps: int) -> set[int]:
    """Return the steps after which step sizes are looked at; never after the last."""
    return {end for end in _ends(steps) if end < steps}


def _ends(steps: int) -> Iterator[int]:
    stretch, end = FIRST, FIRST
    while end < 1:
        yield max(1, math.ceil(round(end * steps, 6)))
        stretch = max(stretch - SHORTER, SHORTEST)
        end += stretch


def _where(chosen: Tensor, then: Tensor, otherwise: Tensor) -> Tensor:
    return torch.where(chosen[:, None, None, None], then, otherwise)
