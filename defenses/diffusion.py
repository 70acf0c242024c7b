"""The diffusion of DDPM: how images are drowned in noise, and how a network leads them back (Ho et al. 2020).

Images are in [-1, 1] here. ``kept(t)`` is the paper's alpha-bar: the share of an image's power that is left at time t.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise

import torch
from torch import Tensor

STEPS = 1000
"""The times of training, 1 to 1000; at 0 there is no noise."""
FIRST, LAST = 1e-4, 0.02
"""Variance of the noise that the first step adds, and the last; between them it grows evenly."""

Predict = Callable[[Tensor, Tensor], Tensor]
"""Noisy images ``(N, C, H, W)`` and times ``(N,)`` to the noise in them."""


@lru_cache(maxsize=1)
def _all_kept() -> Tensor:
    return torch.cat([torch.ones(1), (1 - torch.linspace(FIRST, LAST, STEPS, dtype=torch.float64)).cumprod(0)])


def kept(t: int) -> float:
    """Return alpha-bar at time ``t``, 0 to 1000."""
    return float(_all_kept()[t])


def sigma(t: int) -> float:
    """Return the deviation of the noise at time ``t`` in pixel units, on images in [0, 1] that keep their size."""
    return float(((1 - kept(t)) / kept(t)) ** 0.5 / 2)


def time_of(deviation: float) -> int:
    """Return the time, 1 to 1000, whose ``sigma`` is nearest to a deviation."""
    return min(range(1, STEPS + 1), key=lambda t: abs(sigma(t) - deviation))


def noised(x: Tensor, t: Tensor, noise: Tensor) -> Tensor:
    """Return images at times ``(N,)``, whole numbers: what is left of x, and noise of standard deviation 1."""
    share = _all_kept().to(x.dtype).to(x.device)[t][:, None, None, None]
    return share.sqrt() * x + (1 - share).sqrt() * noise


def times(t: int, steps: int) -> list[tuple[int, int]]:
    """Return the pairs (from, to) of a way back from ``t`` to 0 in ``steps`` steps as even as whole numbers can be."""
    return list(pairwise(round(t * (steps - k) / steps) for k in range(steps + 1)))


def step_back(predict: Predict, x: Tensor, start: int, end: int, noise: Tensor) -> Tensor:
    """Return images one step of the reverse chain earlier: a draw from its Gaussian (equation 7 of the paper).

    The clean image that the noise speaks for is held in [-1, 1]. From a time to 0 that image itself comes back.
    """
    clean = predicted(predict, x, start)
    if end == 0:
        return clean
    before, now = kept(end), kept(start)
    left = now / before
    mean = before**0.5 * (1 - left) / (1 - now) * clean + left**0.5 * (1 - before) / (1 - now) * x
    deviation = ((1 - before) / (1 - now) * (1 - left)) ** 0.5
    stepped: Tensor = mean + deviation * noise
    return stepped


def predicted(predict: Predict, x: Tensor, t: int) -> Tensor:
    """Return the clean images that the noise in x, at time ``t``, speaks for."""
    noise = predict(x, torch.full((len(x),), t, device=x.device))
    clean: Tensor = (x - (1 - kept(t)) ** 0.5 * noise) / kept(t) ** 0.5
    return clean.clamp(-1, 1)
