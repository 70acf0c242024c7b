"""Pruning by magnitude while a classifier is trained: VGG-16 has far more weights than these images need."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from purification_bench.defenses.errors import UserError

RAMP = 0.5
"""Sparsity grows over this share of the epochs; the rest of training mends what it cost."""


class Pruning:
    """Sets the smallest weights of all convolutions together to zero, more of them in each epoch (Zhu and Gupta 2018).

    What an epoch prunes follows from the weights at its start, and zeros stay the smallest: it resumes without a state.
    """

    def __init__(self, model: nn.Module, sparsity: float, epochs: int) -> None:
        self.sparsity = sparsity
        self.ramp = max(1, int(RAMP * epochs))
        if not self.complete(epochs - 1):
            raise UserError(f"--epochs {epochs} leaves no epoch that is pruned to the end: give at least 2")
        convolutions = (module for module in model.modules() if isinstance(module, nn.Conv2d))
        self._weights = [module.weight for module in convolutions] if sparsity else []
        self._kept: list[Tensor] = []

    def share(self, epoch: int) -> float:
        """Return the share of the weights that epoch number ``epoch`` (from 0) holds at zero."""
        left = 1 - min(1.0, epoch / self.ramp)
        return self.sparsity * (1 - left**3)

    def begin(self, epoch: int) -> None:
        """Choose what this epoch keeps."""
        if not self._weights:
            return
        magnitudes = torch.cat([weight.detach().abs().flatten() for weight in self._weights])
        pruned = int(self.share(epoch) * len(magnitudes))
        threshold = magnitudes.kthvalue(pruned).values if pruned else magnitudes.new_tensor(-1.0)
        self._kept = [weight.detach().abs() > threshold for weight in self._weights]
        self.apply()

    @torch.no_grad()
    def apply(self) -> None:
        """Set what is not kept to zero: after every step."""
        for weight, kept in zip(self._weights, self._kept, strict=True):
            weight.mul_(kept)

    def complete(self, epoch: int) -> bool:
        """Say whether this epoch's weights are as sparse as asked for."""
        return self.share(epoch) >= self.sparsity
