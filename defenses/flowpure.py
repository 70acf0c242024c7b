"""Purification by a flow that leads noisy images to clean ones."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from purification_bench.defenses import stepwise
from purification_bench.defenses.averaged import fit_average
from purification_bench.defenses.base import Defense
from purification_bench.defenses.context import FitContext
from purification_bench.defenses.errors import at_least_one, below_one, positive
from purification_bench.defenses.registry import register_defense
from purification_bench.defenses.unet import UNet

TIMES = 1000
"""What the network is told at the end of the flow: its sines are made for steps, not for shares."""


@register_defense("flowpure")
class FlowPure(Defense):
    """Euler steps along a flow from images under Gaussian noise to clean ones (FlowPure-Gauss: Collaert et al. 2025).

    Training draws straight lines from x + sigma n, at time 0, to x, at time 1, and fits their velocity (flow matching,
    Lipman et al. 2023). Purification enters the line at ``start``, with so much of the noise as is left there.

    Parameters
    ----------
    sigma:
        Standard deviation of the noise at time 0, in pixel units (the paper's, on colour images: .3).
    start:
        Time at which images enter.
    steps:
        Evaluations of the network until time 1.
    width:
        Channels of the network at its higher resolution.
    """

    paper = "Collaert et al. 2025, arXiv:2505.13280"
    training_knowledge = "clean"
    epochs, batch_size = 15, 128
    stochastic = True
    inference_options = frozenset({"start", "steps"})
    shown_options = frozenset({"start", "steps"})

    def __init__(self, *, sigma: float = 1.0, start: float = 0.5, steps: int = 10, width: int = 32) -> None:
        super().__init__()
        positive(sigma=sigma)
        below_one(start=start)
        at_least_one(steps=steps)
        self.sigma, self.start, self.steps = sigma, start, steps
        self.width = UNet.checked(width)
        self.smoothing_sigma = (1 - start) * sigma

    def build(self, shape: tuple[int, int, int], num_classes: int) -> None:
        """Make the network."""
        self.unet = UNet(shape, self.width)

    def purify(self, x: Tensor) -> Tensor:
        """Add what noise is left at ``start``, then follow the flow."""
        images, step = x + (1 - self.start) * self.sigma * torch.randn_like(x), (1 - self.start) / self.steps
        for k in range(self.steps):
            images = stepwise.take(self._moved, images, self.start + k * step, step)
        return images.clamp(0, 1)

    def _moved(self, images: Tensor, time: float, step: float) -> Tensor:
        times = torch.full((len(images),), TIMES * time, device=images.device)
        moved: Tensor = images + step * self.unet(images, times)
        return moved

    def fit(self, context: FitContext) -> None:
        """Train the network to tell the velocity of images on the lines between noisy and clean ones."""
        fit_average(self, context, self.error)

    def error(self, network: UNet, x: Tensor, generator: torch.Generator | None) -> Tensor:
        """Return the mean square error of velocities, each image at a time of its own."""
        t = torch.rand(len(x), device=x.device, generator=generator)
        noise = self.sigma * torch.randn(x.shape, device=x.device, generator=generator)
        between = x + (1 - t)[:, None, None, None] * noise
        return F.mse_loss(network(between, TIMES * t).float(), -noise)
