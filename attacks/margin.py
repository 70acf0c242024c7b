"""How far the likeliest wrong class leads: the loss of attacks that want an error, and no more."""

from __future__ import annotations

import torch
from torch import Tensor


def margin(logits: Tensor, y: Tensor) -> Tensor:
    """Return the lead ``(N,)`` of the likeliest wrong class over the right one, in logits ``(N, K)``."""
    right = logits.gather(1, y[:, None])[:, 0]
    others = logits.scatter(1, y[:, None], -torch.inf)
    return others.amax(dim=1) - right
