"""A classifier of 50,000 weights, for what must hold of any classifier. ``tests/zoo`` has it trained on MNIST:

``bench train classifier small --dataset mnist --plugin tests/plugins/small.py --zoo tests/zoo --half``.
"""

from __future__ import annotations

from torch import Tensor, nn

from purification_bench.benchmark.assets.classifiers import Classifier, Recipe
from purification_bench.benchmark.registries import register_classifier


@register_classifier("small")
class Small(Classifier):
    """Three convolutions that halve the image, and one hidden layer."""

    recipe = Recipe(epochs=8, batch_size=128, peak_lr=5e-3, shift=1)

    def __init__(self, shape: tuple[int, int, int], num_classes: int) -> None:
        super().__init__()
        channels, height, width = shape
        self.layers = nn.Sequential(
            nn.Conv2d(channels, 16, 5, stride=2, padding=2), nn.ReLU(),
            nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.ReLU(),
            nn.Conv2d(32, 32, 3, stride=2, padding=1), nn.ReLU(),
            nn.Flatten(),
            nn.Linear(32 * -(-height // 8) * -(-width // 8), 64), nn.ReLU(),
            nn.Linear(64, num_classes),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x - 0.5)
