"""An attack that is made for one purifier, and is handed it."""

from __future__ import annotations

import torch
from torch import Tensor

from purification_bench.attacks.base import Attack
from purification_bench.attacks.registry import register_attack
from purification_bench.defenses.base import DefendedClassifier


@register_attack("knows")
class Knows(Attack):
    """Noise, of many tries the one whose purified image differs most from the image's own."""

    needs = "defense"
    gradients_per_image = 0

    def perturb(self, model: DefendedClassifier, x: Tensor, y: Tensor, eps: float) -> Tensor:
        """Ask the purifier itself."""
        best, farthest = x.clone(), torch.zeros(len(x), device=x.device)
        with torch.no_grad():
            for _ in range(4):
                x_adv = (x + eps * torch.randn_like(x).sign()).clamp(0, 1)
                distance = (model.defense.purify(x_adv) - x).flatten(1).norm(dim=1)
                best[distance > farthest], farthest = x_adv[distance > farthest], farthest.maximum(distance)
        return best
