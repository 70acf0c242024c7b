"""Auto-PGD (Croce and Hein 2020): PGD that sets its own step size, untargeted and targeted, over torchattacks.

torchattacks returns the clean image where the attack fails, reseeds the global generator, and picks rows of the batch
on one draw of a stochastic model. So its inner run is called here, on whole batches; where it fails, the image of
highest loss is kept, which may still break another model.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from purification_bench.attacks.base import Attack
from purification_bench.attacks.expectation import copies, is_random, mean_over_copies
from purification_bench.attacks.registry import register_attack
from purification_bench.defenses.errors import at_least_one, unknown_name

LOSSES = ("ce", "dlr")


@register_attack("apgd")
class APGD(Attack):
    """Auto-PGD, untargeted, on cross-entropy or the difference-of-logits ratio (Croce and Hein 2020)."""

    iterates = True
    version = "2"

    def __init__(self, *, loss: str = "ce", steps: int = 100, restarts: int = 1) -> None:
        at_least_one(steps=steps, restarts=restarts)
        if loss not in LOSSES:
            raise unknown_name("loss of apgd:", loss, LOSSES)
        self.loss, self.steps, self.restarts = loss, steps, restarts
        self.gradients_per_image = (steps + 1) * restarts

    def perturb(self, model: nn.Module, x: Tensor, y: Tensor, eps: float) -> Tensor:
        """Run every restart on the images that still stand."""
        from purification_bench.attacks import inner

        run = inner.APGD(model, eps=eps, steps=self.steps, loss=self.loss)
        return _in_turn(run, model, x, y, range(self.restarts), lambda turn, rows: None)


@register_attack("apgdt")
class APGDT(Attack):
    """Auto-PGD towards each of the most likely wrong classes in turn, on the targeted difference-of-logits ratio."""

    iterates = True
    version = "2"

    def __init__(self, *, steps: int = 100, targets: int = 9) -> None:
        at_least_one(steps=steps, targets=targets)
        self.steps, self.targets = steps, targets
        self.gradients_per_image = (steps + 1) * targets

    def perturb(self, model: nn.Module, x: Tensor, y: Tensor, eps: float) -> Tensor:
        """Run every target, the likeliest first, on the images that still stand."""
        from purification_bench.attacks import inner

        with torch.no_grad():
            likeliest = mean_over_copies(model(x), model).argsort(dim=1, descending=True)
        run = inner.Targeted(model, eps=eps, steps=self.steps)

        def aim(turn: int, rows: Tensor) -> None:
            run.target_class, run.goals = turn + 1, likeliest[rows, turn]

        return _in_turn(run, model, x, y, range(1, 1 + min(self.targets, likeliest.shape[1] - 1)), aim)


def _in_turn(
    run: Any, model: nn.Module, x: Tensor, y: Tensor, turns: range, aim: Callable[[int, Tensor], None]
) -> Tensor:
    """Run an inner run of torchattacks once a turn; return each image's misclassified x_adv, else that of highest loss.

    Of a random model one draw proves nothing, so there every image takes every turn, and the highest cross-entropy
    decides, measured anew.
    """
    run.set_device(x.device)
    certain = not is_random(model) and copies(model) == 1
    best, highest = x.clone(), x.new_full((len(x),), -torch.inf)
    for turn in turns:
        rows = (highest < torch.inf).nonzero()[:, 0] if certain else torch.arange(len(x), device=x.device)
        if len(rows) == 0:
            break
        aim(turn, rows)
        x_best, right, loss, x_adv = run.attack_single_run(x[rows], y[rows])
        if certain:
            fooled = ~right.bool()
            x_best[fooled], loss[fooled] = x_adv[fooled], torch.inf
        else:
            with torch.no_grad():
                loss = mean_over_copies(F.cross_entropy(model(x_best), y, reduction="none"), model)
        better = loss > highest[rows]
        best[rows[better]], highest[rows[better]] = x_best[better].detach(), loss[better].detach()
    return best
