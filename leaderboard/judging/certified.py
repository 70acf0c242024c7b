"""From counted votes to the distances that no attack can cross (Cohen et al. 2019)."""

from __future__ import annotations

import numpy as np
import scipy  # whose parts are loaded where they are first used
from numpy.typing import NDArray

from purification_bench.leaderboard.judging.statistics import Estimate, estimate
from purification_bench.leaderboard.results.certificate import Certificate

ALPHA = 0.001
"""The chance that an image's radius is too large."""


def radii(certificate: Certificate) -> NDArray[np.float64]:
    """Return each image's certified L2 radius ``(n,)`` in pixel units: of the right class, else -1.

    The chance of the chosen class is at least the lower end of its one-sided Clopper-Pearson interval, p. Where that is
    above one half, no change of L2 norm below sigma times the normal quantile of p moves the vote. An image without a
    majority has no certified class.
    """
    counts = np.array(certificate.counts)
    least = np.zeros(len(counts))
    some = counts > 0
    least[some] = scipy.special.betaincinv(counts[some], certificate.samples - counts[some] + 1, ALPHA)
    held = np.array(certificate.right) & (least > 0.5)
    found: NDArray[np.float64] = np.where(held, certificate.sigma * scipy.special.ndtri(np.maximum(least, 0.5)), -1.0)
    return found


def certified_accuracy(certificate: Certificate, radius: float) -> Estimate:
    """Return the share of images whose right class is certified at an L2 radius."""
    return estimate((radii(certificate) >= radius).astype(np.float64))
