"""Purification by diffusion: noise drowns what an attack has added, a network takes the noise away again."""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from purification_bench.defenses import diffusion, stepwise
from purification_bench.defenses.averaged import fit_average
from purification_bench.defenses.base import Defense
from purification_bench.defenses.context import FitContext
from purification_bench.defenses.errors import UserError, at_least_one
from purification_bench.defenses.registry import register_defense
from purification_bench.defenses.unet import UNet


class ReverseChain(Defense):
    """Diffusion to time ``t`` and back by the reverse chain of a network that ``build`` makes (``self.unet``).

    Parameters
    ----------
    t:
        How far images are taken, of the 1,000 steps of training.
    steps:
        Evaluations of the network on the way back.
    """

    paper = "Nie et al. 2022, arXiv:2205.07460"
    training_knowledge = "clean"
    stochastic = True
    inference_options = frozenset({"t", "steps"})
    shown_options = frozenset({"t", "steps"})
    unet: nn.Module

    def __init__(self, *, t: int, steps: int) -> None:
        super().__init__()
        at_least_one(t=t, steps=steps)
        if t > diffusion.STEPS:
            raise UserError(f"t must be at most {diffusion.STEPS}, not {t}")
        if steps > t:
            raise UserError(f"steps must be at most t, {t}, not {steps}")
        self.t, self.steps = t, steps
        self.smoothing_sigma = diffusion.sigma(t)

    def purify(self, x: Tensor) -> Tensor:
        """Add noise, then take it away step by step."""
        t = torch.full((len(x),), self.t, device=x.device)
        images = diffusion.noised(2 * x - 1, t, torch.randn_like(x))
        step_back = partial(diffusion.step_back, self.unet)
        for start, end in diffusion.times(self.t, self.steps):
            images = stepwise.take(step_back, images, start, end, torch.randn_like(x))
        return (images + 1) / 2


@register_defense("ddpm")
class DDPM(ReverseChain):
    """Diffusion to time ``t`` and back by the reverse chain of a DDPM (Nie et al. 2022, on Ho et al. 2020).

    Where a gradient is asked for, it is the exact one through the whole chain; each step is computed again on the way
    back, so that memory holds one step at a time. A cheaper form to attack is the same with fewer ``steps`` (Lee and
    Kim 2023): ``stand_in = { steps = 3 }``.

    Parameters
    ----------
    t:
        How far images are taken, of the 1,000 steps of training. The noise must drown the attack, and leave the image.
    steps:
        Evaluations of the network on the way back.
    width:
        Channels of the network at its higher resolution.
    """

    epochs, batch_size = 20, 128

    def __init__(self, *, t: int = 200, steps: int = 10, width: int = 32) -> None:
        super().__init__(t=t, steps=steps)
        self.width = UNet.checked(width)

    def build(self, shape: tuple[int, int, int], num_classes: int) -> None:
        """Make the network."""
        self.unet = UNet(shape, self.width)

    def fit(self, context: FitContext) -> None:
        """Train the network to tell the noise in images at random times: the mean square error (Ho et al. 2020)."""
        fit_average(self, context, noise_error)


def noise_error(network: UNet, x: Tensor, generator: torch.Generator | None) -> Tensor:
    """Return the mean square error of the noise that a network sees in images, each at a time of its own."""
    t = torch.randint(1, diffusion.STEPS + 1, (len(x),), device=x.device, generator=generator)
    noise = torch.randn(x.shape, device=x.device, generator=generator)
    return F.mse_loss(network(diffusion.noised(2 * x - 1, t, noise), t).float(), noise)
