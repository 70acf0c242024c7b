"""A generated dataset of 3x32x32 images, and a classifier for it that needs no training: plug-ins for the tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from purification_bench.benchmark.assets.classifiers import Classifier
from purification_bench.benchmark.assets.data import ImageDataset, Images
from purification_bench.benchmark.registries import register_classifier, register_dataset


def prototypes() -> Tensor:
    """One bright bar for each of four classes, (4, 3, 32, 32)."""
    x = torch.full((4, 3, 32, 32), 0.2)
    for k in range(4):
        x[k, :, :, 8 * k : 8 * (k + 1)] = 0.8
    return x


@register_dataset("shapes")
class Shapes(ImageDataset):
    """Noisy bars, 3x32x32, 4 classes."""

    shape = (3, 32, 32)
    num_classes = 4
    eps = 0.1
    eps_grid = (0.1, 0.3)

    def load(self, part: str, data_dir: Path | None) -> Images:
        random = np.random.RandomState({"train": 0, "test": 1}[part])
        y = torch.arange(200) % 4
        noise = torch.from_numpy(random.normal(0, 0.15, (200, 3, 32, 32)).astype(np.float32))
        return Images((prototypes()[y] + noise).clamp(0, 1), y)


@register_classifier("matched")
class Matched(Classifier):
    """A matched filter: the logits are inner products with the prototypes."""

    trained = False

    def __init__(self, shape: tuple[int, int, int], num_classes: int) -> None:
        super().__init__()
        self.register_buffer("weight", (prototypes() - 0.35).flatten(1) / 100)

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1) @ self.weight.T
