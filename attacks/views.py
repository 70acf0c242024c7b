"""What the attacker differentiates. A view is a model of images like any other; attacks know nothing of it."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from purification_bench.attacks.seeding import seeded
from purification_bench.attacks.threat import Estimator
from purification_bench.defenses.base import DefendedClassifier, Defense


class BPDA(DefendedClassifier):
    """Forward the true purifier; backward its ``surrogate`` (Athalye et al. 2018, backward-pass approximation)."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the defended logits, with the surrogate's gradient."""
        with torch.no_grad():
            purified = self.defense.purify(x.detach())
        stand_in = self.defense.surrogate(x)
        logits: Tensor = self.classifier(stand_in + (purified - stand_in).detach())
        return logits


class Soft(DefendedClassifier):
    """The defended classifier with the smooth ``relaxation`` of its purifier in the purifier's place."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of the relaxed purifier's images."""
        logits: Tensor = self.classifier(self.defense.relaxation(x))
        return logits


class Latent(DefendedClassifier):
    """The defended classifier, and the way from images to the codes that its defense decodes, and back."""

    def encode(self, x: Tensor) -> Tensor:
        """Return codes whose decoded images lie near x."""
        return self.defense.encode(x)

    def decode(self, z: Tensor) -> Tensor:
        """Return the images ``(N, C, H, W)`` of codes."""
        return self.defense.decode(z)


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


VIEWS: Mapping[str, type[DefendedClassifier]] = {"bpda": BPDA, "soft": Soft, "latent": Latent}


def view(estimator: Estimator, classifier: nn.Module, defense: Defense, seed: int) -> nn.Module:
    """Return the model that an attacker with this gradient estimator differentiates, or queries."""
    model = VIEWS.get(estimator, DefendedClassifier)(classifier, defense)
    return Frozen(model, seed) if estimator == "frozen" else model
