"""The training of the networks that take noise away: the running average of the weights is what is kept."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor
from torch.optim import Adam
from torch.optim.lr_scheduler import ExponentialLR
from torch.optim.swa_utils import get_ema_multi_avg_fn

from purification_bench.defenses.context import FitContext
from purification_bench.defenses.optimising import descend
from purification_bench.defenses.unet import UNet

RATE, RATE_DECAY = 1e-3, 0.8
"""Adam's learning rate at first, and what it is multiplied by after each epoch."""
MEMORY, FIRST_MEMORY = 0.999, 0.99
"""Share of the average of the weights that a step keeps; a short memory at first, so that it forgets its start."""
VALIDATION_IMAGES, SHOWN = 2000, 32

Error = Callable[[UNet, Tensor, torch.Generator | None], Tensor]
"""What a network gets wrong on images ``(N, C, H, W)``, with random numbers of a generator."""


def fit_average(defense: Any, context: FitContext, error: Error) -> None:
    """Train ``defense.unet`` by descending ``error``; it ends as the average of the epoch that validates best."""
    x, network = context.images("train"), deepcopy(defense.unet)
    optimizer = Adam(network.parameters(), lr=RATE)
    schedule = ExponentialLR(optimizer, RATE_DECAY)
    for epoch in context.epochs(model=defense, network=network, optimizer=optimizer, schedule=schedule):
        update_average = get_ema_multi_avg_fn(MEMORY if epoch else FIRST_MEMORY)
        total = 0.0
        for i in context.batches():
            with context.autocast():
                loss = error(network, x[i].to(context.device), None)
            descend(loss, optimizer)
            update_average(list(defense.unet.parameters()), list(network.parameters()), 0)
            total += float(loss.detach()) * len(i)
        schedule.step()
        with context.as_stored(defense):
            _validate(defense, context, error, total / len(x))


@torch.no_grad()
def _validate(defense: Any, context: FitContext, error: Error, in_training: float) -> None:
    held_out = context.images("validation")[:VALIDATION_IMAGES].to(context.device)
    generator = torch.Generator(context.device).manual_seed(0)
    parts = [float(error(defense.unet, part, generator)) * len(part) for part in held_out.split(500)]
    mean = sum(parts) / len(held_out)
    context.show(torch.cat([held_out[:SHOWN], defense.purify(held_out[:SHOWN])]))
    context.report(-mean, error=mean, training_error=in_training)
