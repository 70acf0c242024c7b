"""VGG-16, the seed paper's classifier."""

from __future__ import annotations

from typing import Literal
from urllib.error import URLError

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from purification_bench.benchmark.assets.classifiers import Classifier, Recipe
from purification_bench.benchmark.registries import register_classifier
from purification_bench.defenses.errors import UserError


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
        import torchvision

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
        import torchvision

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
