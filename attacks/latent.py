"""The attack on a defense that decodes: search its code for an image near x that the classifier gets wrong."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from purification_bench.attacks.base import Attack
from purification_bench.attacks.margin import margin
from purification_bench.attacks.registry import register_attack
from purification_bench.attacks.views import Latent
from purification_bench.defenses.errors import at_least_one, positive

CONFIDENCE = 1.0
"""Logits by which the wrong class should lead; beyond it, only the distance to x counts."""


@register_attack("latent")
class LatentSearch(Attack):
    """Adam on the code z: decoded images that are misclassified, drawn into the ball around x.

    A purifier that projects on what its decoder can make leaves such an image as it is (Athalye et al. 2018, the
    attack on Defense-GAN's manifold). What of the decoded image still lies outside the ball is clipped.

    Parameters
    ----------
    steps, step_size:
        Of Adam.
    pull:
        Weight of the decoded image's mean square distance from the ball, against the margin in logits.
    """

    needs = "decoder"
    iterates = True

    def __init__(self, *, steps: int = 200, step_size: float = 0.05, pull: float = 500.0) -> None:
        at_least_one(steps=steps)
        positive(step_size=step_size, pull=pull)
        self.steps, self.step_size, self.pull = steps, step_size, pull
        self.gradients_per_image = steps

    def perturb(self, model: nn.Module, x: Tensor, y: Tensor, eps: float) -> Tensor:
        """Return, of all steps, the misclassified image nearest to the ball; where there is none, the last."""
        view = cast(Latent, model)
        z = view.encode(x).detach().clone().requires_grad_()
        optimizer = torch.optim.Adam([z], lr=self.step_size)
        found, nearest = x.clone(), x.new_full((len(x),), torch.inf)
        for _ in range(self.steps):
            image = view.decode(z)
            ahead = margin(view.classifier(image), y)
            inside = (x + (image - x).clamp(-eps, eps)).clamp(0, 1)
            outside = (image - inside.detach()).square().mean(dim=(1, 2, 3))
            with torch.no_grad():
                better = (ahead > 0) & (outside < nearest)
                found[better], nearest[better] = inside[better], outside[better]
                never = nearest == torch.inf
                found[never] = inside[never]
            loss = (CONFIDENCE - ahead).clamp(min=0) + self.pull * outside
            optimizer.zero_grad(set_to_none=True)
            (z.grad,) = torch.autograd.grad(loss.sum(), z)
            optimizer.step()
        return found.detach()
