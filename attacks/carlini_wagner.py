"""The attack of Carlini and Wagner (2017, section VI): the least L2 distance that changes the label.

torchattacks' version keeps pixels that are exactly 0 or 1 where they are (most of MNIST), has no search over c, clamps
logits at zero, and stops a whole batch together, so it is written out here.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from purification_bench.attacks.base import Attack
from purification_bench.attacks.margin import margin
from purification_bench.attacks.registry import register_attack
from purification_bench.defenses.errors import positive

INSIDE = 1 - 1e-4
"""Images are pulled this far inside the box before the change of variable, so that no pixel starts frozen."""


@register_attack("cw")
class CarliniWagner(Attack):
    """Carlini-Wagner L2: Adam on the change of variable, a search over c for each image; counted within ``bound``.

    Parameters
    ----------
    bound:
        The L2 radius, in pixel units, within which an image counts as broken (MNIST: 1.5, Schott et al. 2019).
    steps, lr:
        Adam steps for each c, and their rate.
    searches:
        How many values of c each image is tried with.
    initial_c, kappa:
        The first c, and the margin (confidence) by which the label must change.
    """

    norm = "l2"
    iterates = True

    def __init__(
        self,
        *,
        bound: float = 1.5,
        steps: int = 100,
        lr: float = 0.1,
        searches: int = 5,
        initial_c: float = 1.0,
        kappa: float = 0.0,
    ) -> None:
        positive(bound=bound, steps=steps, lr=lr, searches=searches, initial_c=initial_c)
        self.bound, self.steps, self.lr, self.searches = bound, steps, lr, searches
        self.initial_c, self.kappa = initial_c, kappa
        self.gradients_per_image = steps * searches

    def perturb(self, model: nn.Module, x: Tensor, y: Tensor, eps: float) -> Tensor:
        """Return the nearest misclassified image found; where none lies within ``eps``, the last try scaled onto it."""
        low, high = torch.zeros_like(y, dtype=x.dtype), torch.full_like(y, torch.inf, dtype=x.dtype)
        c = torch.full_like(low, self.initial_c)
        best, best_distance = x.clone(), torch.full_like(low, torch.inf)
        last = x
        for _ in range(self.searches):
            found, distance, last = self._minimise(model, x, y, c)
            success = distance < torch.inf
            nearer = distance < best_distance
            best[nearer], best_distance[nearer] = found[nearer], distance[nearer]
            high = torch.where(success, torch.minimum(high, c), high)
            low = torch.where(success, low, torch.maximum(low, c))
            c = torch.where(high < torch.inf, (low + high) / 2, c * 10)
        within = best_distance <= eps
        return torch.where(within[:, None, None, None], best, _onto_ball(x, last, eps))

    def _minimise(self, model: nn.Module, x: Tensor, y: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Minimise |x_adv - x|^2 + c f(x_adv); return the nearest success, its distance (inf: none), the last try."""
        w = torch.atanh((2 * x - 1) * INSIDE).requires_grad_()
        optimizer = torch.optim.Adam([w], lr=self.lr)
        best, best_distance = x.clone(), torch.full_like(c, torch.inf)
        x_adv = x
        for _ in range(self.steps):
            x_adv = (torch.tanh(w) + 1) / 2
            logits = model(x_adv)
            squared = (x_adv - x).flatten(1).square().sum(dim=1)
            loss = squared + c * (-margin(logits, y)).clamp(min=-self.kappa)
            optimizer.zero_grad()
            loss.sum().backward()
            optimizer.step()
            distance = squared.detach().sqrt()
            nearer = (logits.argmax(dim=1) != y) & (distance < best_distance)
            best[nearer], best_distance[nearer] = x_adv.detach()[nearer], distance[nearer]
        return best, best_distance, x_adv.detach()


def _onto_ball(x: Tensor, x_adv: Tensor, radius: float) -> Tensor:
    delta: Tensor = x_adv - x
    norm: Tensor = delta.flatten(1).norm(dim=1).clamp(min=1e-12)
    scale: Tensor = (radius / norm).clamp(max=1)
    return x + delta * scale[:, None, None, None]
