"""Attacks that change few pixels, by as much as they like (norm ``l0``), over torchattacks."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from purification_bench.attacks.base import Attack
from purification_bench.attacks.expectation import first_copy
from purification_bench.attacks.registry import register_attack
from purification_bench.defenses.errors import UserError, at_least_one

CLASSES = 10
"""Logits that a gradient is taken of, in estimates of time."""


@register_attack("jsma")
class JSMA(Attack):
    """Raise pixels, two at a time, that a saliency map names (Papernot et al. 2016), towards the likeliest wrong class.

    The map is made of the gradients of all logits and of all pairs of pixels, image by image: a second an image on
    MNIST, twenty in colour. Of a random model each is of one draw.

    Parameters
    ----------
    bound:
        How many values may change, an even number; in colour, a pixel has three.
    """

    norm = "l0"

    def __init__(self, *, bound: int = 78) -> None:
        at_least_one(bound=bound)
        if bound % 2:
            raise UserError(f"bound of jsma must be even, for it changes two pixels at a time, not {bound}")
        self.bound = bound
        self.gradients_per_image = CLASSES * bound // 2

    def perturb(self, model: nn.Module, x: Tensor, y: Tensor, eps: float) -> Tensor:
        """Search image by image, until the target is reached or the pixels are spent."""
        import torchattacks

        whole, x, y = first_copy(model, x, y)
        with torch.no_grad():
            targets = whole(x).scatter(1, y[:, None], -torch.inf).argmax(dim=1)
        attack = torchattacks.JSMA(whole, gamma=(eps - 1) / x[0].numel())  # it rounds up to pairs
        attack.set_device(x.device)
        attack.set_mode_targeted_by_label(quiet=True)
        found: Tensor = attack(x, targets)
        return found


@register_attack("one_pixel")
class OnePixel(Attack):
    """Differential evolution over the places and values of a few pixels (Su et al. 2019).

    Parameters
    ----------
    bound:
        How many pixels may change.
    steps, population:
        Generations, and candidates in each.
    """

    norm = "l0"
    needs = "queries"
    gradients_per_image = 0

    def __init__(self, *, bound: int = 1, steps: int = 20, population: int = 50) -> None:
        at_least_one(bound=bound, steps=steps, population=population)
        self.bound, self.steps, self.population = bound, steps, population
        self.queries = (steps + 1) * population

    def perturb(self, model: nn.Module, x: Tensor, y: Tensor, eps: float) -> Tensor:
        """Search image by image."""
        import torchattacks

        attack = torchattacks.OnePixel(model, pixels=int(eps), steps=self.steps, popsize=self.population)
        attack.set_device(x.device)
        with _numpy_seeded(int(torch.randint(2**31, ()))):
            found: Tensor = attack(x, y)
        return found.clamp(0, 1)


@contextlib.contextmanager
def _numpy_seeded(seed: int) -> Iterator[None]:
    """Seed the generator that scipy's evolution draws from; afterwards it is as it was."""
    state: Any = np.random.get_state()
    np.random.seed(seed)
    try:
        yield
    finally:
        np.random.set_state(state)
