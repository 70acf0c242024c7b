"""Attacks that know nothing of the model: what they break, anything breaks."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from purification_bench.attacks.base import Attack
from purification_bench.attacks.registry import register_attack


@register_attack("grey")
class Grey(Attack):
    """Every pixel moves towards mid-grey: from eps .5 on all images are one (no knowledge, no gradient)."""

    needs = "nothing"
    control = True
    gradients_per_image = 0

    def perturb(self, model: nn.Module, x: Tensor, y: Tensor, eps: float) -> Tensor:
        """Move as far towards .5 as eps allows."""
        return x + (0.5 - x).clamp(-eps, eps)


@register_attack("other_class")
class OtherClass(Attack):
    """Each image moves towards the batch's nearest image of another class: at eps 1 it is that image."""

    needs = "nothing"
    control = True
    gradients_per_image = 0

    def perturb(self, model: nn.Module, x: Tensor, y: Tensor, eps: float) -> Tensor:
        """Move as far as eps allows; images without another class beside them stay."""
        distances = torch.cdist(x.flatten(1), x.flatten(1))
        distances[y[None] == y[:, None]] = torch.inf
        others = torch.where(distances.isfinite().any(dim=1)[:, None, None, None], x[distances.argmin(dim=1)], x)
        return x + (others - x).clamp(-eps, eps)


@register_attack("noise")
class Noise(Attack):
    """Control without knowledge: every pixel moves by eps up or down at random, as far as FGSM moves it."""

    needs = "nothing"
    control = True
    gradients_per_image = 0

    def perturb(self, model: nn.Module, x: Tensor, y: Tensor, eps: float) -> Tensor:
        """Add random signs times eps and clip."""
        signs = torch.randint_like(x, 2) * 2 - 1
        return (x + eps * signs).clamp(0, 1)
