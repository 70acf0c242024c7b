"""How far a wrong class leads: losses of attacks that want an error, of logits ``(N, K)`` and labels ``(N,)``."""

from __future__ import annotations

import torch
from torch import Tensor

ENOUGH = 10.0
"""Lead in logits beyond which an image is left alone: others need the step more, where copies are averaged."""
TINY = 1e-12


def margin(logits: Tensor, y: Tensor) -> Tensor:
    """Return the lead ``(N,)`` of the likeliest wrong class over the right one."""
    right = logits.gather(1, y[:, None])[:, 0]
    others = logits.scatter(1, y[:, None], -torch.inf)
    return others.amax(dim=1) - right


def lead_up_to_enough(logits: Tensor, y: Tensor) -> Tensor:
    """Return the margin ``(N,)``, flat where it is enough."""
    return margin(logits, y).clamp(max=ENOUGH)


def lead(logits: Tensor, y: Tensor, target: Tensor) -> Tensor:
    """Return the lead ``(N,)`` of the class ``target`` over the right one."""
    both = logits.gather(1, torch.stack([target, y], dim=1))
    return both[:, 0] - both[:, 1]


def dlr(logits: Tensor, y: Tensor) -> Tensor:
    """Return the difference-of-logits ratio ``(N,)``: the margin, whatever the scale of the logits (K >= 3)."""
    ordered = logits.sort(dim=1, descending=True).values
    return margin(logits, y) / (ordered[:, 0] - ordered[:, 2] + TINY)


def targeted_dlr(logits: Tensor, y: Tensor, target: Tensor) -> Tensor:
    """Return the targeted difference-of-logits ratio ``(N,)`` (K >= 4)."""
    ordered = logits.sort(dim=1, descending=True).values
    return lead(logits, y, target) / (ordered[:, 0] - (ordered[:, 2] + ordered[:, 3]) / 2 + TINY)
