"""The named attacks, over torchattacks where it has them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from purification_bench.attacks.ball import Ball
from purification_bench.attacks.base import REACH, Attack
from purification_bench.attacks.expectation import mean_over_copies
from purification_bench.attacks.pursuit import Pursuit
from purification_bench.attacks.registry import register_attack
from purification_bench.attacks.steps import Steps
from purification_bench.attacks.tries import most_wrong
from purification_bench.defenses.errors import UserError, at_least_one, positive


class TorchAttack(Attack):
    """An attack of torchattacks. A subclass builds it; a new one is built for every call, so no state survives."""

    @abstractmethod
    def build(self, model: nn.Module, eps: float) -> Any:
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
    single_step = True

    def build(self, model: nn.Module, eps: float) -> Any:
        """Return ``torchattacks.FGSM``."""
        import torchattacks

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

    iterates = True
    pursues = True
    restarts = 1

    def __init__(self, *, steps: int = 40, alpha: float | None = None) -> None:
        at_least_one(steps=steps)
        positive(alpha=alpha)
        self.steps = steps
        self.alpha = alpha
        self.gradients_per_image = steps

    def step_size(self, eps: float) -> float:
        """Return the step, in pixel units."""
        return REACH * eps / self.steps if self.alpha is None else self.alpha

    def pursue(self, pursuit: Pursuit, x: Tensor, y: Tensor, eps: float, start: Tensor | None) -> Tensor:
        """Take the same steps, but none with an image that is broken; later restarts in one batch."""
        steps = Steps(Ball(eps), (self.step_size(eps),) * self.steps)
        first = self.begin(x, eps) if start is None else start
        return pursuit.run(x, y, [first, *(self.begin(x, eps) for _ in range(self.restarts - 1))], steps)

    def begin(self, x: Tensor, eps: float) -> Tensor:
        """Return where the steps start."""
        return x

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

    def build(self, model: nn.Module, eps: float) -> Any:
        """Return ``torchattacks.BIM``."""
        import torchattacks

        return torchattacks.BIM(model, eps=eps, alpha=self.step_size(eps), steps=self.steps)


@register_attack("pgd")
class PGD(_Iterative):
    """Projected gradient descent: signed-gradient steps from a random start in the ball (Madry et al. 2018)."""

    probes_planted = True

    def __init__(self, *, steps: int = 40, alpha: float | None = None, random_start: bool = True) -> None:
        super().__init__(steps=steps, alpha=alpha)
        self.random_start = random_start

    def begin(self, x: Tensor, eps: float) -> Tensor:
        """Return random points of the ball, or the images."""
        return (x + torch.empty_like(x).uniform_(-eps, eps)).clamp(0, 1) if self.random_start else x

    def build(self, model: nn.Module, eps: float) -> Any:
        """Return ``torchattacks.PGD``."""
        import torchattacks

        return torchattacks.PGD(
            model, eps=eps, alpha=self.step_size(eps), steps=self.steps, random_start=self.random_start
        )


@register_attack("pgdl2")
class PGDL2(TorchAttack):
    """Projected gradient descent in an L2 ball, from the clean image: torchattacks' random start is not uniform."""

    norm = "l2"
    iterates = True

    def __init__(self, *, bound: float = 1.5, steps: int = 40) -> None:
        positive(bound=bound)
        at_least_one(steps=steps)
        self.bound, self.steps = bound, steps
        self.gradients_per_image = steps

    def build(self, model: nn.Module, eps: float) -> Any:
        """Return ``torchattacks.PGDL2``."""
        import torchattacks

        step = REACH * eps / self.steps
        return torchattacks.PGDL2(model, eps=eps, alpha=step, steps=self.steps, random_start=False)


@register_attack("pgd_restarts")
class PGDRestarts(PGD):
    """PGD from several random starts; of each image the one that ends most wrong is kept (``tries``)."""

    probes_planted = False
    version = "2"

    def __init__(self, *, steps: int = 100, restarts: int = 5, alpha: float | None = None) -> None:
        super().__init__(steps=steps, alpha=alpha)
        at_least_one(restarts=restarts)
        self.restarts = restarts
        self.gradients_per_image = steps * restarts

    def perturb(self, model: nn.Module, x: Tensor, y: Tensor, eps: float) -> Tensor:
        """Run PGD from each start."""
        return most_wrong(model, [super(PGDRestarts, self).perturb(model, x, y, eps) for _ in range(self.restarts)], y)


@register_attack("fgsm_predicted")
class FGSMPredicted(FGSM):
    """FGSM on the label that the model predicts: the sign pattern then leaks nothing of the true one."""

    def perturb(self, model: nn.Module, x: Tensor, y: Tensor, eps: float) -> Tensor:
        """Take the step away from the predicted label."""
        with torch.no_grad():
            predicted = mean_over_copies(model(x), model).argmax(dim=1)
        return super().perturb(model, x, predicted, eps)
