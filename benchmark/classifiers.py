"""The target classifiers, and how each is trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

from benchmark.registries import register_classifier
from defenses.spec import Spec


@dataclass(frozen=True)
class Recipe:
    """How a classifier is trained: AdamW under a one-cycle schedule, cross-entropy."""

    epochs: int
    batch_size: int
    peak_lr: float
    weight_decay: float = 1e-4
    shift: int = 0
    """Augmentation: each image is moved by up to so many pixels."""
    warm_up: int = 0
    """In adversarial training, the perturbation grows to its full size over so many epochs."""


class Classifier(nn.Module):
    """A target classifier: images ``(N, C, H, W)`` in [0, 1] to logits ``(N, K)``; it normalises inside itself.

    It is made with the shape ``(C, H, W)`` of the images and the number of classes.
    """

    recipe: ClassVar[Recipe] = Recipe(epochs=10, batch_size=128, peak_lr=1e-3)
    trained: ClassVar[bool] = True
    """It needs weights; a classifier that says False is used as it is constructed."""
    adversarial_eps: float = 0.0
    """The Linf size of the attack that training meets; 0: training is on clean images."""
    version: ClassVar[str] = "1"
    spec: Spec


@register_classifier("model_a")
class ModelA(Classifier):
    """The literature's small CNN: two 5x5 convolutions, one hidden layer (Samangouei et al. 2018, Model A)."""

    recipe = Recipe(epochs=20, batch_size=128, peak_lr=2e-3, shift=1)

    def __init__(self, shape: tuple[int, int, int], num_classes: int) -> None:
        super().__init__()
        channels, height, width = shape
        reduced = ((height - 5) // 2 + 1) * ((width - 5) // 2 + 1)
        self.layers = nn.Sequential(
            nn.Conv2d(channels, 64, 5, padding=2), nn.ReLU(),
            nn.Conv2d(64, 64, 5, stride=2), nn.ReLU(),
            nn.Dropout(0.25),
            nn.Flatten(),
            nn.Linear(64 * reduced, 128), nn.ReLU(),
            nn.Dropout(0.5),
            nn.Linear(128, num_classes),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """Return logits ``(N, K)``."""
        logits: Tensor = self.layers(x - 0.5)
        return logits


@register_classifier("model_a_at")
class ModelAAdversarial(ModelA):
    """``model_a`` trained on PGD's images of size ``eps``, without dropout (adversarial training, Madry et al. 2018).

    The positive control: a classifier that is robust by itself, for purifiers to be compared with and audits to clear.
    """

    recipe = Recipe(epochs=25, batch_size=128, peak_lr=1e-3, weight_decay=0.0, warm_up=8)

    def __init__(self, shape: tuple[int, int, int], num_classes: int, *, eps: float = 0.3) -> None:
        super().__init__(shape, num_classes)
        self.adversarial_eps = eps
        for layer in self.layers:
            if isinstance(layer, nn.Dropout):
                layer.p = 0.0


@register_classifier("vgg16")
class VGG16(Classifier):
    """VGG-16 with batch norm at 32x32 and a linear head, the seed paper's classifier (Simonyan and Zisserman 2015)."""

    recipe = Recipe(epochs=15, batch_size=128, peak_lr=1e-3, weight_decay=5e-4, shift=2)

    def __init__(self, shape: tuple[int, int, int], num_classes: int) -> None:
        super().__init__()
        self.features = torchvision.models.vgg16_bn(weights=None).features
        if shape[0] != 3:
            self.features[0] = nn.Conv2d(shape[0], 64, 3, padding=1)
        self.head = nn.Linear(512, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits ``(N, K)``; images of another size are resized to 32x32 first."""
        if x.shape[-2:] != (32, 32):
            x = F.interpolate(x, (32, 32), mode="bilinear", align_corners=False)
        logits: Tensor = self.head(torch.flatten(self.features((x - 0.5) / 0.5), 1))
        return logits


def augment(x: Tensor, recipe: Recipe) -> Tensor:
    """Shift each image of a batch ``(N, C, H, W)`` at random by up to ``recipe.shift`` pixels, filling with black."""
    if recipe.shift == 0:
        return x
    height, width = x.shape[-2:]
    padded = F.pad(x, (recipe.shift,) * 4)
    moves = torch.randint(0, 2 * recipe.shift + 1, (2, len(x)), device=x.device)
    rows = moves[0][:, None] + torch.arange(height, device=x.device)
    columns = moves[1][:, None] + torch.arange(width, device=x.device)
    image = torch.arange(len(x), device=x.device)[:, None, None]
    return padded[image, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
