"""From counted votes to the distances that no attack can cross (Cohen et al. 2019)."""

from __future__ import annotations

from collections.abc import Iterable

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


def largest_radius(certificate: Certificate) -> float:
    """Return the radius of an image all of whose draws agree: as many draws certify no larger one.

    It is negative where they are too few to know a majority.
    """
    return float(certificate.sigma * scipy.special.ndtri(ALPHA ** (1 / certificate.samples)))


def current(certificates: Iterable[Certificate]) -> list[Certificate]:
    """Return one certificate of each defense at each place, in order: of its newest weights, that of most images.

    Of as many images, that of most draws; of as many draws, that of the lowest seed.
    """
    rows: dict[tuple[str, str, str], list[Certificate]] = {}
    for each in certificates:
        rows.setdefault((each.dataset, each.classifier, each.defense), []).append(each)
    return [_chosen(rows[place]) for place in sorted(rows)]


def _chosen(made: list[Certificate]) -> Certificate:
    newest = max(made, key=lambda each: each.created)
    same = [each for each in made if each.identity.get("defense") == newest.identity.get("defense")]
    return max(same, key=lambda each: (len(each.counts), each.samples, -each.seed))


def certified_accuracy(certificate: Certificate, radius: float) -> Estimate:
    """Return the share of images whose right class is certified at an L2 radius."""
    return estimate((radii(certificate) >= radius).astype(np.float64))
