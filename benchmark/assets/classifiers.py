"""The target classifiers, and how each is trained."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal
from urllib.error import URLError

import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

from purification_bench.benchmark.registries import register_classifier
from purification_bench.defenses.errors import UserError
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
    warm_up: int = 0
    """In adversarial training, the perturbation grows to its full size over so many epochs."""
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
    version: ClassVar[str] = "1"
    spec: Spec

    def initialise(self) -> None:
        """Prepare the weights that training starts from; what the constructor made, unless a subclass has better."""


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
    """VGG-16 with batch norm at 32x32 and a linear head, the seed paper's classifier (Simonyan and Zisserman 2015).

    Parameters
    ----------
    init:
        What training starts from: ``random`` weights, or ``imagenet``'s, which torchvision downloads.
    """

    recipe = Recipe(epochs=12, batch_size=128, peak_lr=1e-3, weight_decay=5e-4, shift=2, sparsity=0.95)

    def __init__(
        self, shape: tuple[int, int, int], num_classes: int, *, init: Literal["random", "imagenet"] = "random"
    ) -> None:
        super().__init__()
        self.init = init
        self.features = torchvision.models.vgg16_bn(weights=None).features
        if shape[0] != 3:
            self.features[0] = nn.Conv2d(shape[0], 64, 3, padding=1)
        self.head = nn.Linear(512, num_classes)

    def initialise(self) -> None:
        """Take over ImageNet's convolutions, where asked for; grey images meet the sum of the first one's colours."""
        if self.init == "random":
            return
        try:
            pretrained = torchvision.models.vgg16_bn(weights=torchvision.models.VGG16_BN_Weights.IMAGENET1K_V1)
        except (URLError, OSError, RuntimeError) as error:
            raise UserError(f"vgg16[init=imagenet]: torchvision cannot download its weights: {error}") from error
        state = pretrained.features.state_dict()
        if self.features[0].in_channels != 3:
            state["0.weight"] = state["0.weight"].sum(dim=1, keepdim=True).repeat(1, self.features[0].in_channels, 1, 1)
            state["0.weight"] /= self.features[0].in_channels
        self.features.load_state_dict(state)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits ``(N, K)``; images of another size are resized to 32x32 first."""
        if x.shape[-2:] != (32, 32):
            x = F.interpolate(x, (32, 32), mode="bilinear", align_corners=False)
        logits: Tensor = self.head(torch.flatten(self.features((x - 0.5) / 0.5), 1))
        return logits


@register_classifier("conv8")
class Conv8(Classifier):
    """The classifier of the seed paper's released code: four blocks of two convolutions, three dense layers at 32x32.

    Its 30 million weights are not shipped: ``bench train classifier conv8`` trains it as that code does, slowly: plain
    descent at a small rate leaves a smoother classifier than a schedule that gets further in as many epochs.
    """

    recipe = Recipe(epochs=10, batch_size=64, peak_lr=1e-3, weight_decay=0.0, optimizer="sgd")

    def __init__(self, shape: tuple[int, int, int], num_classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = shape[0]
        for width in (64, 128, 256, 512):
            for _ in range(2):
                layers += [nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
                channels = width
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.head = nn.Sequential(
            nn.Linear(2048, 4096), nn.ReLU(), nn.Dropout(0.65),
            nn.Linear(4096, 4096), nn.ReLU(), nn.Dropout(0.65),
            nn.Linear(4096, num_classes),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """Return logits ``(N, K)``; images of another size are resized to 32x32 first."""
        if x.shape[-2:] != (32, 32):
            x = F.interpolate(x, (32, 32), mode="bilinear", align_corners=False)
        logits: Tensor = self.head(torch.flatten(self.features(x), 1))
        return logits


class AlwaysTraining(Classifier):
    """A classifier that nothing takes out of training mode: dropout and the batch's own statistics stay on."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier = classifier
        self.spec = classifier.spec
        self.adversarial_eps = classifier.adversarial_eps
        self.train()

    def train(self, mode: bool = True) -> AlwaysTraining:
        """Stay in training mode, whatever ``mode`` asks for."""
        super().train(True)
        return self

    def forward(self, x: Tensor) -> Tensor:
        """Return logits ``(N, K)``; the running statistics, which it never uses, stay as they are."""
        with _frozen_statistics(self.classifier):
            logits: Tensor = self.classifier(x)
        return logits


@contextlib.contextmanager
def _frozen_statistics(model: nn.Module) -> Iterator[None]:
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True


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
