"""Purification by diffusion: noise drowns what an attack has added, a network takes the noise away again."""

from __future__ import annotations

from copy import deepcopy

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim import Adam
from torch.optim.lr_scheduler import ExponentialLR
from torch.optim.swa_utils import get_ema_multi_avg_fn
from torch.utils.checkpoint import checkpoint

from purification_bench.defenses import diffusion
from purification_bench.defenses.base import Defense
from purification_bench.defenses.context import FitContext
from purification_bench.defenses.errors import UserError, at_least_one
from purification_bench.defenses.registry import register_defense
from purification_bench.defenses.unet import GROUPS, UNet

RATE, RATE_DECAY = 1e-3, 0.8
"""Adam's learning rate at first, and what it is multiplied by after each epoch."""
MEMORY, FIRST_MEMORY = 0.999, 0.99
"""Share of the average of the weights that a step keeps; a short memory at first, so that it forgets its start."""
VALIDATION_IMAGES = 2000


@register_defense("ddpm")
class DDPM(Defense):
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

    paper = "Nie et al. 2022, arXiv:2205.07460"
    training_knowledge = "clean"
    stochastic = True
    inference_options = frozenset({"t", "steps"})
    shown_options = frozenset({"t", "steps"})

    def __init__(self, *, t: int = 300, steps: int = 10, width: int = 32) -> None:
        super().__init__()
        at_least_one(t=t, steps=steps, width=width)
        if t > diffusion.STEPS:
            raise UserError(f"t must be at most {diffusion.STEPS}, not {t}")
        if steps > t:
            raise UserError(f"steps must be at most t, {t}, not {steps}")
        if width % GROUPS:
            raise UserError(f"width must be a multiple of {GROUPS}, not {width}")
        self.t, self.steps, self.width = t, steps, width

    def build(self, shape: tuple[int, int, int], num_classes: int) -> None:
        """Make the network."""
        # An eighth faster on the CPU.
        self.unet = UNet(shape, self.width).to(memory_format=torch.channels_last)

    def purify(self, x: Tensor) -> Tensor:
        """Add noise, then take it away step by step."""
        t = torch.full((len(x),), self.t, device=x.device)
        images = diffusion.noised(2 * x - 1, t, torch.randn_like(x))
        for start, end in diffusion.times(self.t, self.steps):
            images = self._step_back(images, start, end, torch.randn_like(x))
        return (images + 1) / 2

    def _step_back(self, images: Tensor, start: int, end: int, noise: Tensor) -> Tensor:
        if not (torch.is_grad_enabled() and images.requires_grad):
            return diffusion.step_back(self.unet, images, start, end, noise)
        back: Tensor = checkpoint(
            diffusion.step_back, self.unet, images, start, end, noise, use_reentrant=False, preserve_rng_state=False
        )
        return back

    def fit(self, context: FitContext) -> None:
        """Train the network to tell the noise in images at random times: the mean square error (Ho et al. 2020).

        The running average of its weights is kept, of the epoch that tells it best in noisy validation images.
        """
        x, network = context.images("train"), deepcopy(self.unet)
        optimizer = Adam(network.parameters(), lr=RATE)
        schedule = ExponentialLR(optimizer, RATE_DECAY)
        for epoch in context.epochs(model=self, network=network, optimizer=optimizer, schedule=schedule):
            update_average = get_ema_multi_avg_fn(MEMORY if epoch else FIRST_MEMORY)
            total = 0.0
            for i in context.batches():
                with context.autocast():
                    loss = noise_error(network, x[i].to(context.device))
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                update_average(list(self.unet.parameters()), list(network.parameters()), 0)
                total += float(loss.detach()) * len(i)
            schedule.step()
            with context.as_stored(self):
                self._validate(context, total / len(x))

    @torch.no_grad()
    def _validate(self, context: FitContext, training_mse: float) -> None:
        held_out = context.images("validation")[:VALIDATION_IMAGES].to(context.device)
        generator = torch.Generator(context.device).manual_seed(0)
        parts = [float(noise_error(self.unet, part, generator)) * len(part) for part in held_out.split(500)]
        error = sum(parts) / len(held_out)
        context.show(torch.cat([held_out[:32], self.purify(held_out[:32])]))
        context.report(-error, noise_mse=error, training_mse=training_mse)


def noise_error(network: UNet, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Return the mean square error of the noise that a network sees in images, each at a time of its own."""
    t = torch.randint(1, diffusion.STEPS + 1, (len(x),), device=x.device, generator=generator)
    noise = torch.randn(x.shape, device=x.device, generator=generator)
    return F.mse_loss(network(diffusion.noised(2 * x - 1, t, noise), t).float(), noise)
