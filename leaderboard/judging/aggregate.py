"""Numbers of a board: worst cases, gaps, votes, comparisons. Pure functions on its rows; missing stays missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from purification_bench.leaderboard.judging.boards import Board, Column, Row
from purification_bench.leaderboard.judging.statistics import Comparison, Estimate, compare, estimate, holm
from purification_bench.leaderboard.results.declared import Threat
from purification_bench.leaderboard.results.result import Result
from purification_bench.leaderboard.results.verdicts import Verdicts


@dataclass(frozen=True)
class Pair:
    """Two defenses compared on the same images."""

    first: str
    second: str
    comparison: Comparison
    adjusted: float
    """The p-value after Holm's correction over the board's pairs."""
    n: int


@dataclass(frozen=True)
class Standing:
    """What a row is worth at one size: figures on the same images, none above the one before it.

    Each is a share that is left by more attacks than the one before, so only draws of a stochastic defense can put it
    higher; where they do, it is the lower one.
    """

    clean: Estimate | None
    claimed: Estimate | None
    """Under the gray-box attacks of this size."""
    robust: Estimate | None
    """The headline: under those and all that see the purifier, of this size or a smaller one."""

    @property
    def n(self) -> int | None:
        """The images that the figures are of; None where there are none."""
        return next((figure.n for figure in (self.clean, self.claimed, self.robust) if figure is not None), None)

    @property
    def gap(self) -> float | None:
        """How much of what is claimed an attacker takes who sees the purifier."""
        return self.claimed.value - self.robust.value if self.claimed and self.robust else None


@lru_cache(maxsize=10_000)
def accuracy(result: Result | None) -> Estimate | None:
    """Return the share of images classified right: under the result's attack, or clean where it has none.

    Of a file that holds only some of them, among those; None of an attack that passed over broken ones.
    """
    if result is None or not result.ok or result.partial:
        return None
    return estimate(result.means[result.met]) if (result.adversarial if result.attack else result.clean) else None


def robust_means(row: Row, columns: Sequence[Column]) -> NDArray[np.float64] | None:
    """Return each image's robust share ``(n,)``: right on the clean image and on the worst of the attacks.

    The worst candidate (the clean image is one) is the one expected to leave least by one set of draws, and is read
    from the other. None where the row lacks one of the ``columns``: a worst case over fewer attacks is another number.

    The images are as many, the first of the fixed order, as under each required threat some attack of many steps and of
    the largest size judged (where there is none: as every attack judged). An attack on fewer is a candidate for
    those, so that no attack, however few its images, can raise the worst case, or narrow what it is taken over.
    Infinite for an image that none of the attacks met.
    """
    results = [row.cells.get(column) for column in columns]
    if not results or any(result is None or not result.ok for result in results):
        return None
    n = _images(row, columns)
    found = [result for result in results if result is not None]
    found += [other for column in columns for other in row.also.get(column, [])]
    candidates = [v for result in found for v in (result.clean, result.adversarial) if v is not None]
    expected = np.stack([_expected(verdicts, n) for verdicts in candidates])
    reported = np.stack([_shares(verdicts, verdicts.reported, n) for verdicts in candidates])
    # Where several candidates are level, the one that is stronger over all its images is taken.
    judged = np.isfinite(expected)
    left = np.where(judged, expected, 0).sum(axis=1) / np.maximum(judged.sum(axis=1), 1)
    by_strength = np.where(judged.any(axis=1), left, np.inf).argsort(kind="stable")
    worst = by_strength[expected[by_strength].argmin(axis=0)]
    means: NDArray[np.float64] = reported[worst, np.arange(n)]
    return means


def _images(row: Row, columns: Sequence[Column]) -> int:
    """Return how many images a worst case is taken over."""
    largest = max(column.eps for column in columns)
    counts: dict[Threat, int] = {}
    for column in columns:
        if column.threat.required and column.eps == largest and column.traits.iterates:
            counts[column.threat] = max(counts.get(column.threat, 0), row.cells[column].n)
    return min(counts.values() or (row.cells[column].n for column in columns))


def robust_accuracy(row: Row, columns: Sequence[Column]) -> Estimate | None:
    """Return the per-image worst case over the clean image and the attacks in ``columns``."""
    means = robust_means(row, columns)
    return None if means is None else estimate(means[np.isfinite(means)])


@lru_cache(maxsize=10_000)
def standing(board: Board, row: Row, eps: float, most: int | None = None) -> Standing:
    """Return what a row is worth at ``eps``, on the images that all of its figures share, or the ``most`` first."""
    clean = row.clean.means if row.clean is not None and row.clean.ok else None
    means = [clean, robust_means(row, board.candidates(eps)), robust_means(row, board.headline(row, eps))]
    n = min((len(each) for each in means if each is not None), default=0)
    n = n if most is None else min(n, most)
    figures: list[Estimate | None] = []
    for each in means:
        known = [estimate(each[:n])] if each is not None else []
        above = [figure for figure in figures if figure is not None]
        figures.append(min([*known, *above], key=lambda figure: figure.value) if known else None)
    return Standing(*figures)


def curve(board: Board, row: Row) -> list[tuple[float, Standing]]:
    """Return what a row is worth at every size at which somebody attacked it who sees it, on the same images.

    No figure rises with the size: what lies in a ball lies in a larger one. Where weaker attacks, or draws of a
    stochastic defense, put one higher, it is what it was at the smaller size.
    """
    sizes = board.adaptive_sizes(row)
    shared = min((n for eps in sizes if (n := standing(board, row, eps).n)), default=0)
    points: list[tuple[float, Standing]] = []
    claimed: Estimate | None = None
    robust: Estimate | None = None
    for eps in sizes:
        at = standing(board, row, eps, shared)
        claimed, robust = _lower(claimed, at.claimed), _lower(robust, at.robust)
        points.append((eps, replace(at, claimed=claimed, robust=robust)))
    return points


def _lower(one: Estimate | None, other: Estimate | None) -> Estimate | None:
    return min((each for each in (one, other) if each is not None), key=lambda each: each.value, default=None)


def area(board: Board, row: Row) -> float | None:
    """Return the mean of the adaptive worst case over sizes from 0 (clean) to the mark, by trapezoids.

    Over the sizes that all rows with a headline share (another grid would give another area), on the same images.
    """
    sizes = sorted(eps for eps in board.shared_sizes if eps <= board.mark)
    at = dict(curve(board, row))
    if not sizes or sizes[-1] != board.mark or board.mark not in at:
        return None
    clean, worst = at[board.mark].clean, [at[eps].robust for eps in sizes]
    if clean is None or any(estimate is None for estimate in worst):
        return None
    values = [clean.value, *(estimate.value for estimate in worst if estimate)]
    return float(np.trapezoid(values, [0.0, *sizes]) / board.mark)


@dataclass(frozen=True)
class Votes:
    """What all draws of some images come to, as shares of them."""

    mean: float
    """Of single draws, right."""
    vote: float
    """Right in more than half of their draws."""
    worst: float
    """Right in every draw: what is left to who may try again until one fails."""

    @classmethod
    def of(cls, verdicts: Verdicts, n: int) -> Votes:
        """Count both sets of draws of the first ``n`` images."""
        right = verdicts.chosen[:n].astype(int) + verdicts.reported[:n]
        draws = 2 * verdicts.draws
        return cls(float(right.mean() / draws), float((right > draws / 2).mean()), float((right == draws).mean()))


def votes(row: Row, column: Column) -> tuple[Votes, Votes] | None:
    """Return, for a stochastic row, what its draws come to under attack, and on the same images without.

    None where nothing is drawn, or where an attack passed over images.
    """
    result = row.cells.get(column)
    if result is None or not result.ok or not result.adversarial or not result.clean or not result.met.all():
        return None
    if not result.facts["stochastic"]:
        return None
    return Votes.of(result.adversarial, result.n), Votes.of(result.clean, result.n)


def paired(board: Board) -> list[Pair]:
    """Compare every pair of defenses by the per-image worst case at the mark, Holm-corrected over all pairs.

    By the headline on a board where some attacker sees the purifiers, else by the gray-box worst case.
    """
    columns = {
        name: board.headline(row, board.mark) if board.adaptive else board.candidates(board.mark)
        for name, row in board.rows.items()
    }
    means = {name: robust_means(row, columns[name]) for name, row in board.rows.items()}
    known = {name: values for name, values in means.items() if values is not None}
    compared = []
    for first, second in combinations(known, 2):
        n = min(len(known[first]), len(known[second]))
        compared.append((first, second, compare(known[first][:n], known[second][:n]), n))
    adjusted = holm([comparison.p_value for _, _, comparison, _ in compared])
    return [Pair(*pair[:3], p, pair[3]) for pair, p in zip(compared, adjusted, strict=True)]


def _expected(verdicts: Verdicts, n: int) -> NDArray[np.float64]:
    """Return what share of draws to expect right of ``n`` images; infinite, no candidate, for those not judged.

    Few draws of an image say little, so each share is drawn towards the mean over images, the more, the less the two
    sets of draws agree on which images are right (empirical Bayes: the posterior mean under a beta prior whose
    correlation of draws is that of the sets). Else the least of several noisy shares would often be the weaker
    attack's. Of a deterministic defense the sets are one, and shares stay as they are.
    """
    shares = _shares(verdicts, verdicts.chosen, n)
    judged = np.isfinite(shares)
    first, second = shares[judged], _shares(verdicts, verdicts.reported, n)[judged]
    mean = first.mean() if len(first) else 0.0
    if not 0 < mean < 1:
        return shares
    covariance = ((first - mean) * (second - second.mean())).mean()
    alike = min(max(covariance / (mean * (1 - mean)), 0.0), 1.0)
    weight = verdicts.draws * alike / (verdicts.draws * alike + 1 - alike)
    expected = np.full(n, np.inf)
    expected[judged] = weight * first + (1 - weight) * mean
    return expected


def _shares(verdicts: Verdicts, counts: NDArray[np.uint8], n: int) -> NDArray[np.float64]:
    """Return the share of draws that are right for ``n`` images; infinite, no candidate, for those not judged."""
    padded = np.full(n, np.inf)
    padded[: len(counts)] = counts[:n] / verdicts.draws
    if verdicts.before is not None:
        padded[: len(counts)][verdicts.before[:n] == 1] = np.inf
    return padded
