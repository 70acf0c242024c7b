"""What a target classifier is, and how one is trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import nn

from purification_bench.defenses.spec import Spec


@dataclass(frozen=True)
class Recipe:
    """How a classifier is trained: on cross-entropy."""

    epochs: int
    batch_size: int
    peak_lr: float
    weight_decay: float = 1e-4
    shift: int = 0
    """Augmentation: each image is moved by up to so many pixels."""
    warm_up: float = 0.0
    """In adversarial training, the perturbation grows to its full size over this share of the epochs."""
    optimizer: Literal["adamw", "sgd"] = "adamw"
    """``adamw`` runs under a one-cycle schedule, ``sgd`` is plain: no momentum, and ``peak_lr`` from first to last."""
    sparsity: float = 0.0
    """Training sets this share of the convolutions' weights to zero, the smallest."""


class Classifier(nn.Module):
    """A target classifier: images ``(N, C, H, W)`` in [0, 1] to logits ``(N, K)``; it normalises inside itself.

    It is made with the shape ``(C, H, W)`` of the images and the number of classes.
    """

    recipe: ClassVar[Recipe] = Recipe(epochs=10, batch_size=128, peak_lr=1e-3)
    trained: ClassVar[bool] = True
    """It needs weights; a classifier that says False is used as it is constructed."""
    adversarial_eps: float = 0.0
    """The Linf size of the attack that training meets; 0: training is on clean images."""
    temperature: float = 1.0
    """Training divides the logits by this; in use they are as they are."""
    teacher: str = ""
    """The classifier, with its options, whose answers training gives in place of labels; empty: the labels."""
    version: ClassVar[str] = "1"
    spec: Spec

    def initialise(self) -> None:
        """Prepare the weights that training starts from; what the constructor made, unless a subclass has better."""
