"""Long chains of steps: their gradient, with the memory of one step."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint


def take(step: Callable[..., Tensor], images: Tensor, *others: object) -> Tensor:
    """Return ``step(images, *others)``; where a gradient is asked for, the step is computed again on the way back.

    The step must draw nothing: random numbers are handed to it.
    """
    if not (torch.is_grad_enabled() and images.requires_grad):
        return step(images, *others)
    taken: Tensor = checkpoint(step, images, *others, use_reentrant=False, preserve_rng_state=False)
    return taken
