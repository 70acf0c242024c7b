"""What a purification defense is, and the classifier behind one."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from purification_bench.defenses.context import FitContext
from purification_bench.defenses.spec import Spec

TrainingKnowledge = Literal["none", "clean", "classifier", "attack"]


class Defense(nn.Module):
    """An input purifier. A subclass writes ``purify``; everything else has a default.

    A defense draws random numbers from torch's default generator only, treats each image alone
    (``purify(x)[i]`` does not depend on the other images), and gives the same values with and without gradients
    enabled. Constructor options are keyword-only JSON scalars.
    """

    stochastic: bool = False
    """Two passes over the same input differ."""
    differentiable: bool = True
    """``purify`` has a useful gradient with respect to its input."""
    training_knowledge: TrainingKnowledge = "none"
    """The most that training saw: nothing, clean images, the target classifier, or an attack on it."""
    undefended: ClassVar[bool] = False
    """It passes images on: the row that others are compared with."""
    smoothing_sigma: float | None = None
    """Standard deviation, in pixel units, of the Gaussian noise that ``purify`` adds to an image before all else.

    Where all that follows sees of x is that sum, and the draws in a batch are independent, ``bench certify`` can
    certify the vote of many draws (Cohen et al. 2019). ``version`` covers it. None: it adds no such noise.
    """
    inference_options: ClassVar[frozenset[str]] = frozenset()
    """Options that training does not depend on: one set of weights serves every value of them."""
    shown_options: ClassVar[frozenset[str]] = frozenset()
    """Options that the name of a row always holds; the others show where they differ from their defaults."""
    later_options: ClassVar[frozenset[str]] = frozenset()
    """Options that came after results had been published: keys hold them only where they are not None."""
    epochs: ClassVar[int] = 30
    """Of training, unless ``bench train`` is told otherwise."""
    batch_size: ClassVar[int] = 64
    """Images of a step of training, unless ``bench train`` is told otherwise."""
    weights_of: ClassVar[str] = ""
    """Name of the defense whose weights it uses, with the same options of training; empty: it has its own."""
    paper: ClassVar[str] = ""
    """Where it was published: authors and year, and where to find it."""
    version: ClassVar[str] = "1"
    """Raise it when the values that ``purify`` gives change: stored results are then computed anew."""
    surrogate_version: ClassVar[str] = "1"
    """Raise it when ``surrogate`` changes: results of the attacks that follow that are then computed anew."""
    spec: Spec

    def build(self, shape: tuple[int, int, int], num_classes: int) -> None:
        """Make what depends on the images: called once, with ``(C, H, W)``, before weights are loaded or trained."""

    def purify(self, x: Tensor) -> Tensor:
        """Clean a batch: float32 ``(N, C, H, W)`` in [0, 1] in, the same shape and range out."""
        raise NotImplementedError(f"{type(self).__name__} must define purify(x)")

    def surrogate(self, x: Tensor) -> Tensor:
        """Return a differentiable stand-in for ``purify``, for backward passes (default: the identity)."""
        return x

    def relaxation(self, x: Tensor) -> Tensor:
        """Return a smooth variant of ``purify`` where that makes a hard choice (default: ``purify`` itself)."""
        return self.purify(x)

    def encode(self, x: Tensor) -> Tensor:
        """Return codes ``(N, D)`` whose decoded images lie near x, where a defense decodes one (with ``decode``)."""
        raise NotImplementedError(f"{type(self).__name__} has no latent code")

    def decode(self, z: Tensor) -> Tensor:
        """Return the images ``(N, C, H, W)`` of codes ``(N, D)``: what the attacker searches under ``latent``."""
        raise NotImplementedError(f"{type(self).__name__} has no latent code")

    def candidates(self, x: Tensor) -> Tensor:
        """Return the images ``(N, R, C, H, W)`` of which ``purify`` chooses the nearest to x, where it does so.

        What is near is measured by the mean over pixels of the squared difference.
        """
        raise NotImplementedError(f"{type(self).__name__} does not choose the nearest of several images")

    def rejects(self, x: Tensor) -> Tensor:
        """Return which images a defense refuses to pass on, bool ``(N,)``: they count as wrong, attacked or clean."""
        raise NotImplementedError(f"{type(self).__name__} rejects nothing")

    def fit(self, context: FitContext) -> None:
        """Train on ``context``; a defense that defines this needs weights before it can purify."""
        raise NotImplementedError(f"{type(self).__name__} is not trained")

    def forward(self, x: Tensor) -> Tensor:
        """Purify."""
        return self.purify(x)


class DefendedClassifier(nn.Module):
    """A classifier behind a purifier: ``classifier(defense.purify(x))``. Any attack library can attack it as it is.

    Backward passes follow the purifier's own gradient; where it declares that it has none of use, its ``surrogate``'s.
    """

    def __init__(self, classifier: nn.Module, defense: Defense) -> None:
        super().__init__()
        self.classifier = classifier
        self.defense = defense

    def forward(self, x: Tensor) -> Tensor:
        """Return logits ``(N, K)`` for images ``(N, C, H, W)`` in [0, 1]."""
        purified = self.defense.purify(x)
        if x.requires_grad and not self.defense.differentiable:
            purified = _Replaced.apply(self.defense.surrogate(x), purified)
        logits: Tensor = self.classifier(purified)
        return logits


class _Replaced(torch.autograd.Function):
    """The second of two tensors, with the gradient of the first."""

    @staticmethod
    def forward(ctx: Any, differentiated: Tensor, shown: Tensor) -> Tensor:
        return shown.detach().clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0], None


def is_trained(cls: type[Defense]) -> bool:
    """Say whether a defense class defines ``fit``, and so needs weights."""
    return cls.fit is not Defense.fit


def decodes(cls: type[Defense]) -> bool:
    """Say whether a defense class makes its images from a latent code, and says how."""
    return cls.decode is not Defense.decode and cls.encode is not Defense.encode


def chooses(cls: type[Defense]) -> bool:
    """Say whether a defense class chooses the nearest of several images, and says which."""
    return cls.candidates is not Defense.candidates


def relaxes(cls: type[Defense]) -> bool:
    """Say whether a defense class makes a hard choice, and has a smooth variant of it."""
    return cls.relaxation is not Defense.relaxation


def detects(cls: type[Defense]) -> bool:
    """Say whether a defense class rejects images besides purifying them."""
    return cls.rejects is not Defense.rejects


def sees_classifier(cls: type[Defense]) -> bool:
    """Say whether a defense class is trained with the target classifier, and so has weights for each."""
    return cls.training_knowledge in ("classifier", "attack")
