"""What a purification defense is, and the classifier behind one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any, ClassVar, Literal, Protocol

import torch
from torch import Tensor, nn

from purification_bench.defenses.spec import Spec

TrainingKnowledge = Literal["none", "clean", "classifier", "attack"]
Split = Literal["train", "validation"]


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
    undefended: bool = False
    """It passes images on: the row that others are compared with."""
    training_knowledge: TrainingKnowledge = "none"
    """The most that training saw: nothing, clean images, the target classifier, or an attack on it."""
    unroll: int | None = None
    """Of an iterative ``purify``, how many of the last steps its gradient passes through; None: all. An attacker's."""
    inference_options: ClassVar[frozenset[str]] = frozenset()
    """Options that training does not depend on: one set of weights serves every value of them."""
    shown_options: ClassVar[frozenset[str]] = frozenset()
    """Options that the name of a row always holds; the others show where they differ from their defaults."""
    version: ClassVar[str] = "1"
    """Raise it when the values that ``purify`` gives change: stored results are then computed anew."""
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

    def fit(self, context: FitContext) -> None:
        """Train on ``context``; a defense that defines this needs weights before it can purify."""
        raise NotImplementedError(f"{type(self).__name__} is not trained")

    def forward(self, x: Tensor) -> Tensor:
        """Purify."""
        return self.purify(x)


class FitContext(Protocol):
    """What a defense is trained with. Images are float32 ``(N, C, H, W)`` in [0, 1], labels int64 ``(N,)``."""

    device: torch.device
    classifier: nn.Module
    """The target, frozen, in eval mode."""

    def images(self, split: Split) -> Tensor:
        """Return the clean images of a part of the training split."""

    def labels(self, split: Split) -> Tensor:
        """Return the labels of the same images."""

    def adversarial(self, attack: str, eps: float, split: Split) -> Tensor:
        """Return ``attack``'s (a registered attack, options allowed) adversarial images against the bare classifier."""

    def epochs(self, *, model: Any, **others: Any) -> Iterator[int]:
        """Yield epoch numbers, restoring and saving ``model`` and the ``others`` (all have ``state_dict``).

        Every epoch must call ``report``; at the end ``model`` has the weights of the epoch that scored best.
        """

    def batches(self) -> Iterator[Tensor]:
        """Yield the index batches of one epoch over the training part, shuffled."""

    def autocast(self) -> AbstractContextManager[Any]:
        """Return the context to run training's forward passes in: lower precision, where the user asks for it."""

    def as_stored(self, model: nn.Module) -> AbstractContextManager[None]:
        """Return a context in which ``model`` has its weights as they will be stored: what validation should judge."""

    def report(self, score: float, **metrics: float) -> None:
        """Report an epoch's validation ``score`` (higher is better; the best epoch's weights are kept)."""

    def show(self, images: Tensor) -> None:
        """Keep ``images`` as a sheet in the training's log, for eyes."""


class DefendedClassifier(nn.Module):
    """A classifier behind a purifier: ``classifier(defense.purify(x))``. Any attack library can attack it as it is."""

    def __init__(self, classifier: nn.Module, defense: Defense) -> None:
        super().__init__()
        self.classifier = classifier
        self.defense = defense

    def forward(self, x: Tensor) -> Tensor:
        """Return logits ``(N, K)`` for images ``(N, C, H, W)`` in [0, 1]."""
        logits: Tensor = self.classifier(self.defense.purify(x))
        return logits


class _Adapted(Defense):
    """A plain object with ``purify`` (and perhaps more of a defense's methods) in the place of a ``Defense``."""

    def __init__(self, inner: Any) -> None:
        super().__init__()
        self.inner = inner
        self.stochastic = getattr(inner, "stochastic", False)
        self.differentiable = getattr(inner, "differentiable", True)
        self.training_knowledge = getattr(inner, "training_knowledge", "none")
        self.version = getattr(inner, "version", "1")  # type: ignore[misc]
        if hasattr(inner, "spec"):
            self.spec = inner.spec

    @property
    def unroll(self) -> int | None:
        return getattr(self.inner, "unroll", None)

    @unroll.setter
    def unroll(self, steps: int | None) -> None:
        self.inner.unroll = steps

    def purify(self, x: Tensor) -> Tensor:
        purified: Tensor = self.inner.purify(x)
        return purified

    def build(self, shape: tuple[int, int, int], num_classes: int) -> None:
        if hasattr(self.inner, "build"):
            self.inner.build(shape, num_classes)

    def fit(self, context: FitContext) -> None:
        self.inner.fit(context)

    def surrogate(self, x: Tensor) -> Tensor:
        stand_in = getattr(self.inner, "surrogate", None)
        return x if stand_in is None else stand_in(x)

    def relaxation(self, x: Tensor) -> Tensor:
        smooth = getattr(self.inner, "relaxation", self.inner.purify)
        relaxed: Tensor = smooth(x)
        return relaxed

    def encode(self, x: Tensor) -> Tensor:
        codes: Tensor = self.inner.encode(x)
        return codes

    def decode(self, z: Tensor) -> Tensor:
        images: Tensor = self.inner.decode(z)
        return images


def as_defense(made: Any) -> Defense:
    """Return ``made`` as a ``Defense``: any object with ``purify`` will do."""
    return made if isinstance(made, Defense) else _Adapted(made)


def is_trained(cls: type[Any]) -> bool:
    """Say whether a defense class defines ``fit``, and so needs weights."""
    return getattr(cls, "fit", Defense.fit) is not Defense.fit


def decodes(defense: object) -> bool:
    """Say whether a defense makes its images from a latent code, and says how."""
    return _defines(defense, "decode") and _defines(defense, "encode")


def relaxes(defense: object) -> bool:
    """Say whether a defense makes a hard choice, and has a smooth variant of it."""
    return _defines(defense, "relaxation")


def _defines(defense: object, method: str) -> bool:
    made = defense.inner if isinstance(defense, _Adapted) else defense
    own = getattr(made if isinstance(made, type) else type(made), method, None)
    return own is not None and own is not getattr(Defense, method)


def sees_classifier(cls: type[Any]) -> bool:
    """Say whether a defense class is trained with the target classifier, and so has weights for each."""
    return getattr(cls, "training_knowledge", "none") in ("classifier", "attack")
