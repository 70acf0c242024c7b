"""What a defense gives back is checked before it is believed."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

ROUNDING = 1e-6
"""How far beyond [0, 1] rounding may carry a pixel."""


class DefenseError(RuntimeError):
    """A defense returned something that is no batch of images."""


def check_purified(x: Tensor, purified: Any, box: bool = True) -> None:
    """Raise ``DefenseError`` unless ``purified`` is a batch of images like ``x``."""
    _check(x, purified, "purify", x.shape, box)


def check_candidates(x: Tensor, candidates: Any) -> None:
    """Raise ``DefenseError`` unless ``candidates`` are images like ``x``, several for each: ``(N, R, C, H, W)``."""
    several = getattr(candidates, "shape", x.shape)[1:2]
    _check(x, candidates, "candidates", torch.Size((len(x), *(several if 0 not in several else (1,)), *x.shape[1:])))


def check_rejected(refused: Any, n: int) -> None:
    """Raise ``DefenseError`` unless ``refused`` says yes or no of ``n`` images."""
    if not isinstance(refused, Tensor):
        raise DefenseError(f"rejects returned {type(refused).__name__}, not a tensor")
    if refused.shape != (n,) or refused.dtype != torch.bool:
        raise DefenseError(
            f"rejects returned {refused.dtype} of shape {tuple(refused.shape)}, not bool of shape ({n},)"
        )


def _check(x: Tensor, given: Any, method: str, shape: torch.Size, box: bool = True) -> None:
    if not isinstance(given, Tensor):
        raise DefenseError(f"{method} returned {type(given).__name__}, not a tensor")
    if given.shape != shape:
        raise DefenseError(f"{method} returned shape {tuple(given.shape)} for images of shape {tuple(x.shape)}")
    if given.dtype != x.dtype:
        raise DefenseError(f"{method} returned {given.dtype} for {x.dtype}")
    broken = int((~torch.isfinite(given)).flatten(1).any(dim=1).sum())
    if broken:
        raise DefenseError(f"{method} returned NaN or infinite values in {broken} of {len(x)} images")
    low, high = float(given.min()), float(given.max())
    if box and (low < -ROUNDING or high > 1 + ROUNDING):
        raise DefenseError(f"{method} returned values outside [0, 1]: from {low:g} to {high:g}")
