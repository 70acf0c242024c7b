"""A threat, its view and an attack of its own: what a plug-in adds is run and judged as what is built in."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from purification_bench import Attack, register_attack
from purification_bench.attacks.threat import Threat, register_threat
from purification_bench.attacks.views import View


class Halfway(View):
    """Half of the purifier's change: its gradient is half the identity's, half the true one."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of images that are purified halfway."""
        logits: Tensor = self.classifier((x + self.defense.purify(x)) / 2)
        return logits


register_threat(
    Threat(
        "halfway",
        "the gradient of a purifier that is passed halfway",
        gradient="relaxation",
        knowledge="whitebox",
        gives=frozenset({"gradient"}),
        view=f"{__name__}:Halfway",
        estimator="halfway",
        required=True,
        asks=("differentiable",),
    )
)


@register_attack("mifgsm")
class MomentumIterative(Attack):
    """Signed steps along an average of gradients (Dong et al. 2018)."""

    iterates = True

    def __init__(self, *, steps: int = 20) -> None:
        self.steps = steps
        self.gradients_per_image = steps

    def perturb(self, model: nn.Module, x: Tensor, y: Tensor, eps: float) -> Tensor:
        """Take ``steps`` steps that can cross the ball."""
        x_adv, momentum = x, torch.zeros_like(x)
        for _ in range(self.steps):
            leaf = x_adv.detach().requires_grad_()
            loss = nn.functional.cross_entropy(model(leaf), y, reduction="sum")
            gradient = torch.autograd.grad(loss, leaf)[0]
            momentum = momentum + gradient / gradient.abs().mean(dim=(1, 2, 3), keepdim=True).clamp(min=1e-12)
            x_adv = x + (x_adv + 2.5 * eps / self.steps * momentum.sign() - x).clamp(-eps, eps)
            x_adv = x_adv.clamp(0, 1)
        return x_adv.detach()
