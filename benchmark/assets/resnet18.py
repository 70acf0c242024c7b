"""The residual network of the literature on colour images."""

from __future__ import annotations

from torch import Tensor, nn

from purification_bench.benchmark.assets.classifiers import Classifier, Recipe
from purification_bench.benchmark.registries import register_classifier


@register_classifier("resnet18")
class ResNet18(Classifier):
    """ResNet-18 for images of 32 pixels a side (He et al. 2016): torchvision's, entered without shrinking.

    Its 11 million weights are not shipped: ``bench train classifier resnet18 --dataset cifar10``, on a GPU.
    """

    recipe = Recipe(epochs=30, batch_size=128, peak_lr=2e-3, weight_decay=5e-2, shift=4)

    def __init__(self, shape: tuple[int, int, int], num_classes: int) -> None:
        from torchvision.models import resnet18

        super().__init__()
        network = resnet18(num_classes=num_classes)
        network.conv1 = nn.Conv2d(shape[0], 64, 3, padding=1, bias=False)
        network.maxpool = nn.Identity()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """Return logits ``(N, K)``."""
        logits: Tensor = self.network(2 * x - 1)
        return logits
