"""The named attacks, over torchattacks where it has them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import torch
import torchattacks
from torch import Tensor, nn

from attacks.base import Attack
from attacks.registry import register_attack
from defenses.errors import UserError, at_least_one, positive

REACH = 2.5
"""The default step is REACH * eps / steps: the iterates can cross the ball and come back (Madry et al. 2018)."""


class TorchAttack(Attack):
    """An attack of torchattacks. A subclass builds it; a new one is built for every call, so no state survives."""

    @abstractmethod
    def build(self, model: nn.Module, eps: float) -> torchattacks.Attack:
        """Return the torchattacks object for one size."""

    def perturb(self, model: nn.Module, x: Tensor, y: Tensor, eps: float) -> Tensor:
        """Run the attack on the device of the images, whatever the model says of its own."""
        attack = self.build(model, eps)
        attack.set_device(x.device)
        x_adv: Tensor = attack(x, y)
        return x_adv


@register_attack("fgsm")
class FGSM(TorchAttack):
    """Fast gradient sign method: one step of size eps (Goodfellow et al. 2015)."""

    shares_sizes = True

    def build(self, model: nn.Module, eps: float) -> torchattacks.Attack:
        """Return ``torchattacks.FGSM``."""
        return torchattacks.FGSM(model, eps=eps)

    def sweep(self, model: nn.Module, x: Tensor, y: Tensor, sizes: Sequence[float]) -> list[Tensor]:
        """Take the gradient's sign once for all sizes.

        At eps 1 every pixel lands on 0 or 1 or, where its gradient is zero, stays; the sign of that move is the
        gradient's sign but where clipping hides it at every size.
        """
        direction = (self.perturb(model, x, y, 1.0) - x).sign()
        return [(x + eps * direction).clamp(0, 1) for eps in sizes]


class _Iterative(TorchAttack):
    """Repeated signed-gradient steps; the step follows eps unless ``alpha`` (pixel units) is given."""

    def __init__(self, *, steps: int = 40, alpha: float | None = None) -> None:
        at_least_one(steps=steps)
        positive(alpha=alpha)
        self.steps = steps
        self.alpha = alpha
        self.gradients_per_image = steps

    def step_size(self, eps: float) -> float:
        """Return the step, in pixel units."""
        return REACH * eps / self.steps if self.alpha is None else self.alpha

    def check(self, eps: float) -> str | None:
        """Refuse steps that cannot reach the boundary of the ball; warn where they cannot cross it."""
        reach = self.step_size(eps) * self.steps
        if reach < eps:
            raise UserError(
                f"{self.spec.label}: {self.steps} steps of {self.step_size(eps):g} reach {reach:g}, not eps {eps:g}; "
                "raise alpha or steps, or leave alpha out"
            )
        if reach < 2 * eps:
            return f"{self.spec.label}: its steps reach {reach:g}, less than across the ball of eps {eps:g}"
        return None


@register_attack("bim")
class BIM(_Iterative):
    """Basic iterative method: signed-gradient steps from the clean image (Kurakin et al. 2017)."""

    def build(self, model: nn.Module, eps: float) -> torchattacks.Attack:
        """Return ``torchattacks.BIM``."""
        return torchattacks.BIM(model, eps=eps, alpha=self.step_size(eps), steps=self.steps)


@register_attack("pgd")
class PGD(_Iterative):
    """Projected gradient descent: signed-gradient steps from a random start in the ball (Madry et al. 2018)."""

    def __init__(self, *, steps: int = 40, alpha: float | None = None, random_start: bool = True) -> None:
        super().__init__(steps=steps, alpha=alpha)
        self.random_start = random_start

    def build(self, model: nn.Module, eps: float) -> torchattacks.Attack:
        """Return ``torchattacks.PGD``."""
        return torchattacks.PGD(
            model, eps=eps, alpha=self.step_size(eps), steps=self.steps, random_start=self.random_start
        )


@register_attack("noise")
class Noise(Attack):
    """Control without knowledge: every pixel moves by eps up or down at random, as far as FGSM moves it."""

    gradients_per_image = 0

    def perturb(self, model: nn.Module, x: Tensor, y: Tensor, eps: float) -> Tensor:
        """Add random signs times eps and clip."""
        signs = torch.randint_like(x, 2) * 2 - 1
        return (x + eps * signs).clamp(0, 1)
