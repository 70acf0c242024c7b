"""Intervals and tests; the image is the unit. The intervals do not cover the randomness of training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import scipy  # whose parts are loaded where they are first used
from numpy.typing import NDArray

LEVEL = 0.95
LARGEST_UNIT = 1000
"""Per-image means are fractions with at most this denominator (the number of draws)."""

Means = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A share of images with its 95 % interval."""

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class Comparison:
    """A paired test of two defenses on the same images."""

    difference: float
    """Mean of the first less mean of the second."""
    wins: int
    """Images on which the first does better."""
    losses: int
    p_value: float
    test: str
    """``McNemar (exact)`` or ``permutation``."""


def estimate(means: Means) -> Estimate:
    """Return the mean over images with its Wilson interval.

    ``means`` holds each image's share of right draws, ``(n,)`` in [0, 1]. For bits the sample size is n; with draws it
    is the effective one, p(1-p) / Var(mean over images), and n itself where p is 0 or 1 or the images do not vary.
    """
    n = len(means)
    p = float(means.mean())
    variance = float(means.var(ddof=1)) / n if n > 1 else 0.0
    binary = _are_bits(means)
    effective = float(n) if binary or p in (0.0, 1.0) or variance == 0 else p * (1 - p) / variance
    low, high = wilson(p, effective)
    return Estimate(p, low, high, n)


def wilson(p: float, n: float) -> tuple[float, float]:
    """Return the Wilson score interval for a share ``p`` of ``n`` (any positive real) at level ``LEVEL``.

    SciPy's ``binomtest(...).proportion_ci(method="wilson")`` is the same for whole counts, and refuses others.
    """
    z = float(scipy.special.ndtri(0.5 + LEVEL / 2))
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    low, high = max(0.0, centre - half), min(1.0, centre + half)
    return (0.0 if p == 0 else low), (1.0 if p == 1 else high)


def compare(first: Means, second: Means) -> Comparison:
    """Test whether two defenses differ on the same images: exact McNemar for bits, else a sign-flip permutation."""
    if first.shape != second.shape:
        raise ValueError(f"paired comparison of {len(first)} and {len(second)} images")
    difference = first - second
    wins, losses = int((difference > 0).sum()), int((difference < 0).sum())
    binary = _are_bits(first) and _are_bits(second)
    test, p_value = ("McNemar (exact)", mcnemar(wins, losses)) if binary else ("permutation", sign_flip(difference))
    return Comparison(float(difference.mean()), wins, losses, p_value, test)


def _are_bits(means: Means) -> bool:
    return bool(((means == 0) | (means == 1)).all())


def mcnemar(wins: int, losses: int) -> float:
    """Return the two-sided p-value of the exact McNemar test on the discordant images."""
    if wins + losses == 0:
        return 1.0
    return min(1.0, 2 * float(scipy.special.bdtr(min(wins, losses), wins + losses, 0.5)))


def sign_flip(difference: Means) -> float:
    """Return the two-sided p-value of the paired permutation test that the mean difference is zero.

    It is exact: under the null every image's difference has either sign with equal chance, so the sum of those that
    end up positive is a sum of independent binomials, one for each size of difference, whose distribution follows
    from its characteristic function. Per-image means over few draws have few sizes, all multiples of one unit.
    """
    moving = difference[difference != 0]
    if len(moving) == 0:
        return 1.0
    sizes, counts = np.unique(np.abs(moving).round(9), return_counts=True)
    fractions = [Fraction(size).limit_denominator(LARGEST_UNIT) for size in sizes.tolist()]
    unit = math.lcm(*(fraction.denominator for fraction in fractions))
    steps = np.array([int(fraction * unit) for fraction in fractions])
    total = int(steps @ counts)
    angles = np.pi / (total + 1) * np.arange(total // 2 + 1)
    shift = np.exp(-1j * total * angles)  # (1 + e^-2ia) / 2 = e^-ia cos a, and the steps add up to the total
    characteristic = shift * (np.cos(angles[:, None] * steps) ** counts).prod(axis=1)
    chances = np.fft.irfft(characteristic, total + 1)
    observed = round(float(moving[moving > 0].sum()) * unit)
    extreme = min(observed, total - observed)
    return float(min(1.0, max(0.0, 2 * chances[: extreme + 1].sum())))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return Holm's step-down adjustment of a family of p-values, in the given order."""
    adjusted = [0.0] * len(p_values)
    running = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = running
    return adjusted
