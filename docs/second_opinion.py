"""A second opinion: foolbox's PGD as an attack of the board, for docs/attack-strength.md. AutoAttack is built in."""

from __future__ import annotations

import foolbox
from torch import Tensor, nn

from purification_bench import Attack, register_attack


@register_attack("foolbox_pgd")
class FoolboxPGD(Attack):
    """PGD as foolbox has it, with its own step size: from a random start, along the cross-entropy.

    Parameters
    ----------
    steps:
        Of a thirtieth of eps.
    """

    iterates = True

    def __init__(self, *, steps: int = 40) -> None:
        self.steps = steps
        self.gradients_per_image = steps

    def perturb(self, model: nn.Module, x: Tensor, y: Tensor, eps: float) -> Tensor:
        """Return the images after the last step."""
        bounded = foolbox.PyTorchModel(model.eval(), bounds=(0, 1), device=x.device)
        found: Tensor = foolbox.attacks.LinfPGD(steps=self.steps)(bounded, x, y, epsilons=[eps])[1][0]
        return found
