"""The classifier of the seed paper's released code."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from purification_bench.benchmark.assets.classifiers import Classifier, Recipe
from purification_bench.benchmark.registries import register_classifier


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
        dense = [layer for width in (2048, 4096) for layer in (nn.Linear(width, 4096), nn.ReLU(), nn.Dropout(0.65))]
        self.head = nn.Sequential(*dense, nn.Linear(4096, num_classes))

    def forward(self, x: Tensor) -> Tensor:
        """Return logits ``(N, K)``; images of another size are resized to 32x32 first."""
        if x.shape[-2:] != (32, 32):
            x = F.interpolate(x, (32, 32), mode="bilinear", align_corners=False)
        logits: Tensor = self.head(torch.flatten(self.features(x), 1))
        return logits
