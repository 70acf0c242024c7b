"""Which of several tries at an image is kept: of a random model, never by the draws that they were made on."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from purification_bench.attacks.expectation import copies, is_random, mean_over_copies
from purification_bench.attacks.margin import margin

JUDGES = 10
"""Draws of a random model that choose between tries, apart from those that gradients are averaged over."""


@torch.no_grad()
def how_wrong(model: nn.Module, x_adv: Tensor, y: Tensor) -> Tensor:
    """Return how wrong each image ``(N,)`` is, from -1 to 1: near its errors' share, over draws made for this."""
    samples = copies(model)
    draws = -(-JUDGES // samples) if samples > 1 or is_random(model) else 1
    return torch.stack([mean_over_copies(margin(model(x_adv), y).double().tanh(), model) for _ in range(draws)]).mean(
        dim=0
    )


def most_wrong(model: nn.Module, tries: Sequence[Tensor], y: Tensor) -> Tensor:
    """Return of each image the try ``(N, C, H, W)`` that is most wrong, the earlier of two that are level."""
    if len(tries) == 1:
        return tries[0]
    best = torch.stack([how_wrong(model, x_adv, y) for x_adv in tries]).argmax(dim=0)
    return torch.stack(list(tries))[best, torch.arange(len(y), device=y.device)]
