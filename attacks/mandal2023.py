"""FGSM and PGD as the seed paper's released code runs them (Mandal 2023): for ``--protocol as-released`` only."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from purification_bench.attacks.base import Attack
from purification_bench.attacks.registry import register_attack
from purification_bench.defenses.errors import at_least_one, positive

Loss = Literal["logit", "cross_entropy"]

LOSSES: Mapping[Loss, Callable[[Tensor, Tensor], Tensor]] = {
    "logit": lambda logits, y: F.nll_loss(logits, y, reduction="sum"),  # of raw logits: no log-softmax before it
    "cross_entropy": lambda logits, y: F.cross_entropy(logits, y, reduction="sum"),
}
"""What the attacks climb."""


class _Released(Attack):
    """Signed gradients of a loss; images are clipped to the box only where asked."""

    leaves_box = True

    def __init__(self, *, loss: Loss, clip: bool) -> None:
        self.loss = loss
        self.clip = clip

    def _signs(self, model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        leaf = x.detach().requires_grad_()
        return torch.autograd.grad(LOSSES[self.loss](model(leaf), y), leaf)[0].sign()

    def _boxed(self, x: Tensor) -> Tensor:
        return x.clamp(0, 1) if self.clip else x


@register_attack("fgsm_released")
class FGSMReleased(_Released):
    """FGSM along the true label's raw logit instead of the cross-entropy (Mandal 2023, released code).

    Parameters
    ----------
    loss:
        What is climbed: minus the true label's ``logit`` (the released code), or its ``cross_entropy``.
    clip:
        Clip the image to [0, 1] afterwards (as released).
    """

    shares_sizes = True
    single_step = True

    def __init__(self, *, loss: Loss = "logit", clip: bool = True) -> None:
        super().__init__(loss=loss, clip=clip)

    def perturb(self, model: nn.Module, x: Tensor, y: Tensor, eps: float) -> Tensor:
        """Take one step of size eps."""
        return self._boxed(x + eps * self._signs(model, x, y))

    def sweep(self, model: nn.Module, x: Tensor, y: Tensor, sizes: Sequence[float]) -> list[Tensor]:
        """Take the gradient once for all sizes."""
        signs = self._signs(model, x, y)
        return [self._boxed(x + eps * signs) for eps in sizes]


@register_attack("pgd_released")
class PGDReleased(_Released):
    """PGD from the clean image with a step that does not follow eps, without clipping to [0, 1] (Mandal 2023, code).

    Parameters
    ----------
    steps, alpha:
        So many steps of so much, in pixel units.
    loss, clip:
        As for ``fgsm_released``; the released code climbs the cross-entropy and does not clip.
    """

    iterates = True

    def __init__(
        self, *, steps: int = 40, alpha: float = 0.01, loss: Loss = "cross_entropy", clip: bool = False
    ) -> None:
        super().__init__(loss=loss, clip=clip)
        at_least_one(steps=steps)
        positive(alpha=alpha)
        self.steps = steps
        self.alpha = alpha
        self.gradients_per_image = steps

    def perturb(self, model: nn.Module, x: Tensor, y: Tensor, eps: float) -> Tensor:
        """Step along the signs, back into the ball each time."""
        x_adv = x
        for _ in range(self.steps):
            x_adv = x_adv + self.alpha * self._signs(model, x_adv, y)
            x_adv = self._boxed(x + (x_adv - x).clamp(-eps, eps))
        return x_adv
