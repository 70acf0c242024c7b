"""What the attacker differentiates. A view is a model of images like any other; attacks know nothing of it."""

from __future__ import annotations

from importlib import import_module

import torch
from torch import Tensor, nn

from purification_bench.attacks.seeding import seeded
from purification_bench.attacks.threat import threat
from purification_bench.defenses.base import DefendedClassifier, Defense
from purification_bench.defenses.checked import DefenseError, check_candidates
from purification_bench.defenses.plain import where_defined


class View(DefendedClassifier):
    """The defended classifier as it is. A threat's view is a subclass that writes another ``forward``.

    Parameters
    ----------
    seed:
        Of the one draw that a view holds fixed, where it holds one.
    """

    exact: bool = True
    """It answers as the defense that is judged; what is wrong here is wrong there."""

    def __init__(self, classifier: nn.Module, defense: Defense, seed: int = 0) -> None:
        super().__init__(classifier, defense)
        self.seed = seed


class BPDA(View):
    """Forward the true purifier; backward its ``surrogate`` (Athalye et al. 2018, backward-pass approximation)."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the defended logits, with the surrogate's gradient."""
        with torch.no_grad():
            purified = self.defense.purify(x.detach())
        surrogate = self.defense.surrogate(x)
        logits: Tensor = self.classifier(surrogate + (purified - surrogate).detach())
        return logits


class Learned(View):
    """Forward the true purifier; backward a ``network`` that imitates it, which somebody fits before it is used."""

    def __init__(self, classifier: nn.Module, defense: Defense, seed: int = 0) -> None:
        super().__init__(classifier, defense, seed)
        self.network: nn.Module | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Return the defended logits, with the network's gradient."""
        if self.network is None:
            raise RuntimeError("no network was fitted to the purifier")
        with torch.no_grad():
            purified = self.defense.purify(x.detach())
        imitated = self.network(x)
        logits: Tensor = self.classifier(imitated + (purified - imitated).detach())
        return logits


class Relaxed(View):
    """The defended classifier with the smooth ``relaxation`` of its purifier in the purifier's place."""

    exact = False

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of the relaxed purifier's images."""
        logits: Tensor = self.classifier(self.defense.relaxation(x))
        return logits


class Latent(View):
    """The defended classifier, and the way from images to the codes that its defense decodes, and back."""

    def encode(self, x: Tensor) -> Tensor:
        """Return codes whose decoded images lie near x."""
        return self.defense.encode(x)

    def decode(self, z: Tensor) -> Tensor:
        """Return the images ``(N, C, H, W)`` of codes."""
        return self.defense.decode(z)


class Candidates(View):
    """The defended classifier, and the images that its defense chooses the nearest of."""

    def candidates(self, x: Tensor) -> Tensor:
        """Return, for each image, one draw of its candidates ``(N, R, C, H, W)``; raise ``DefenseError`` for others."""
        images = self.defense.candidates(x)
        try:
            check_candidates(x, images)
        except DefenseError as error:
            raise DefenseError(f"{error}{where_defined(self.defense, 'candidates')}") from None
        return images


class OneDraw(View):
    """The defended classifier with one draw of its randomness, the same in every call."""

    stochastic = False

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of that draw."""
        with seeded(self.seed, x.device):
            return super().forward(x)


def view(word: str, classifier: nn.Module, defense: Defense, seed: int = 0) -> nn.Module:
    """Return the model that an attacker under the threat ``word`` differentiates, or queries."""
    place = threat(word).view
    if place is None:
        return classifier
    module, _, name = place.partition(":")
    seen: nn.Module = getattr(import_module(module), name)(classifier, defense, seed)
    return seen
