"""MagNet: two small auto-encoders that reject what they cannot rebuild; one of them purifies the rest."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Adam

from purification_bench.defenses.base import Defense
from purification_bench.defenses.context import FitContext
from purification_bench.defenses.errors import below_one
from purification_bench.defenses.layers import padded
from purification_bench.defenses.optimising import descend
from purification_bench.defenses.registry import register_defense

NOISE = 0.1
"""Standard deviation of the Gaussian noise that training images are under."""
MAPS = 3
"""Channels of every convolution within."""
QUANTILES = 1000
"""Of the errors on clean validation images, which are stored with the weights."""
BATCH = 500


@register_defense("magnet")
class MagNet(Defense):
    """Detectors and a reformer of auto-encoders (Meng and Chen 2017), as its authors set them up for MNIST.

    The first auto-encoder halves the image between its convolutions, and is also the reformer, through which images go
    to the classifier. The second has no bottleneck. An image is rejected where the first leaves a mean square error, or
    the second a mean absolute error, above its threshold: that which so few clean validation images exceed. Their
    penalty on activations, of weight 1e-9, is left out. The authors count an attacked image that is rejected as
    well defended; here it is wrong, as every rejected image is.

    Parameters
    ----------
    detect:
        Reject; otherwise the reformer stands alone.
    rejects_clean:
        Share of clean validation images that each detector's threshold gives up, to a thousandth.
    """

    paper = "Meng and Chen 2017, arXiv:1705.09064"
    training_knowledge = "clean"
    epochs, batch_size = 100, 256
    inference_options = frozenset({"detect", "rejects_clean"})
    shown_options = frozenset({"detect"})
    errors: Tensor

    def __init__(self, *, detect: bool = True, rejects_clean: float = 0.001) -> None:
        super().__init__()
        below_one(rejects_clean=rejects_clean)
        self.detect, self.rejects_clean = detect, rejects_clean

    def build(self, shape: tuple[int, int, int], num_classes: int) -> None:
        """Make both auto-encoders, and room for what they leave of clean images."""
        channels, *self.size = shape
        self.reformer = nn.Sequential(
            *_layer(channels, MAPS), nn.AvgPool2d(2), *_layer(MAPS, MAPS), *_layer(MAPS, MAPS),
            nn.Upsample(scale_factor=2), *_layer(MAPS, MAPS), *_layer(MAPS, channels),
        )  # fmt: skip
        self.second = nn.Sequential(*_layer(channels, MAPS), *_layer(MAPS, MAPS), *_layer(MAPS, channels))
        self.register_buffer("errors", torch.zeros(2, QUANTILES + 1))

    def purify(self, x: Tensor) -> Tensor:
        """Pass images through the reformer."""
        height, width = self.size
        reformed: Tensor = self.reformer(padded(x, 2))
        return reformed[:, :, :height, :width]

    def rejects(self, x: Tensor) -> Tensor:
        """Say of which images an auto-encoder leaves more than of nearly all clean ones."""
        if not self.detect:
            return torch.zeros(len(x), dtype=torch.bool, device=x.device)
        thresholds = self.errors[:, round((1 - self.rejects_clean) * QUANTILES)]
        return (self._left(x) > thresholds).any(dim=1)

    def _left(self, x: Tensor) -> Tensor:
        """Return both errors ``(N, 2)``: mean square of the first, mean absolute of the second."""
        first, second = self.purify(x) - x, self.second(x) - x
        return torch.stack([first.square().flatten(1).mean(dim=1), second.abs().flatten(1).mean(dim=1)], dim=1)

    def fit(self, context: FitContext) -> None:
        """Train both to give noisy clean images back: the square error.

        The epoch kept rebuilds validation images best. Then the errors that both leave of them are written down.
        """
        x, held_out = context.images("train"), context.images("validation")
        optimizer = Adam(self.parameters(), lr=1e-3)
        for _ in context.epochs(model=self, optimizer=optimizer):
            for i in context.batches():
                clean = x[i].to(context.device)
                noisy = (clean + NOISE * torch.randn_like(clean)).clamp(0, 1)
                with context.autocast():
                    both = self.purify(noisy), self.second(noisy)
                loss = torch.stack([F.mse_loss(each.float(), clean) for each in both]).sum()
                descend(loss, optimizer)
            with context.as_stored(self):
                left = self._left_of(held_out.to(context.device))
            self.errors.copy_(left)
            middle = self.errors[:, QUANTILES // 2]
            context.report(-float(middle[0]), mse=float(middle[0]), absolute_error=float(middle[1]))

    @torch.no_grad()
    def _left_of(self, x: Tensor) -> Tensor:
        """Return the quantiles ``(2, QUANTILES + 1)`` of the errors that are left of images."""
        left = torch.cat([self._left(part) for part in x.split(BATCH)])
        levels = torch.linspace(0, 1, QUANTILES + 1, device=x.device)
        return torch.quantile(left, levels, dim=0).T


def _layer(inputs: int, outputs: int) -> tuple[nn.Module, nn.Module]:
    return nn.Conv2d(inputs, outputs, 3, padding=1), nn.Sigmoid()
