"""Models between an attack and what it queries: they count, average, or hold one draw fixed."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from purification_bench.attacks.seeding import seeded


class Counted(nn.Module):
    """A model that counts the images it is asked about."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.queries = 0

    def forward(self, x: Tensor) -> Tensor:
        """Return the model's logits."""
        self.queries += len(x)
        logits: Tensor = self.model(x)
        return logits


class Averaged(nn.Module):
    """A stochastic model's mean logits over ``samples`` draws: one answer for the price of so many queries."""

    def __init__(self, model: nn.Module, samples: int) -> None:
        super().__init__()
        self.model = model
        self.samples = samples

    def forward(self, x: Tensor) -> Tensor:
        """Return the mean logits ``(N, K)``."""
        return torch.stack([self.model(x) for _ in range(self.samples)]).mean(dim=0)


class Frozen(nn.Module):
    """A stochastic model with one draw of its randomness, the same in every call."""

    stochastic = False

    def __init__(self, model: nn.Module, seed: int) -> None:
        super().__init__()
        self.model = model
        self.seed = seed

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of that draw."""
        with seeded(self.seed, x.device):
            logits: Tensor = self.model(x)
        return logits
