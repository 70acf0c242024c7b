"""What an attack leaves behind for the audit: numbers about its gradients, its objective and its distances."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from purification_bench.attacks.guard import distances, eval_mode


@dataclass
class AttackProbe:
    """Sums over the images of one adversarial set, as the attacked model sees them."""

    images: int = 0
    objective_before: float = 0.0
    objective_after: float = 0.0
    improved: int = 0
    broken: int = 0
    largest_distance: float = 0.0

    def add(
        self, model: nn.Module, x: Tensor, x_adv: Tensor, y: Tensor, norm: str, clean: Tensor | None = None
    ) -> None:
        """Add a batch: cross-entropy before and after, how often it rose, how often the label changed.

        ``clean`` holds the model's logits of x where they are known.
        """
        with torch.no_grad(), eval_mode(model):
            logits = model(x_adv)
            before = F.cross_entropy(model(x) if clean is None else clean, y, reduction="none")
            after = F.cross_entropy(logits, y, reduction="none")
        self.images += len(y)
        self.objective_before += float(before.sum())
        self.objective_after += float(after.sum())
        self.improved += int((after > before).sum())
        self.broken += int((logits.argmax(dim=1) != y).sum())
        self.largest_distance = max(self.largest_distance, float(distances(norm, x, x_adv).max()))

    def to_json(self) -> dict[str, float]:
        """Return means and shares over the images; nothing where there were none."""
        if not self.images:
            return {}
        return {
            "objective_before": self.objective_before / self.images,
            "objective_after": self.objective_after / self.images,
            "objective_improved_share": self.improved / self.images,
            "broken_share_undefended": self.broken / self.images,
            "largest_distance": self.largest_distance,
        }


def gradient_shares(model: nn.Module, x: Tensor, y: Tensor) -> tuple[int, int]:
    """Return on how many images the gradient of the cross-entropy is exactly zero everywhere, and not finite."""
    with eval_mode(model), torch.enable_grad():
        leaf = x.clone().requires_grad_()
        loss = F.cross_entropy(model(leaf), y, reduction="sum")
        gradient = torch.autograd.grad(loss, leaf)[0].flatten(1)
    zero = int((gradient == 0).all(dim=1).sum())
    return zero, int((~torch.isfinite(gradient)).any(dim=1).sum())
