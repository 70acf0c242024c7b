"""Two stores, or two defenses of one store, compared cell by cell on the same images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from purification_bench.leaderboard.judging.aggregate import robust_means
from purification_bench.leaderboard.judging.layout import current, lay_out
from purification_bench.leaderboard.judging.statistics import Comparison, compare, holm
from purification_bench.leaderboard.results.result import Result, place

CLAIMED, ROBUST = "claimed", "robust"
Means: TypeAlias = Mapping["Cell", NDArray[np.float64]]
"""What a side is compared by: each image's share of draws that are right."""


@dataclass(frozen=True)
class Cell:
    """What two results have in common that are compared."""

    place: tuple[str, ...]
    """Dataset, classifier, and the protocol, if it is not the standard one."""
    seed: int
    defense: str
    """Empty where two defenses are compared."""
    attack: str
    """Empty for clean images; ``CLAIMED`` or ``ROBUST`` for a worst case over several."""
    threat: str
    """Empty for those."""
    eps: float


@dataclass(frozen=True)
class Difference:
    """One cell, as both sides judged it."""

    cell: Cell
    first: float
    """The first side's accuracy ..."""
    second: float
    """... and the second's, on the same images."""
    comparison: Comparison
    adjusted: float
    """The p-value after Holm's correction over all shared cells."""
    n: int


@dataclass(frozen=True)
class Differences:
    """Every cell that two sides share, and how many have no counterpart."""

    shared: Sequence[Difference]
    unmatched: int


def between_stores(first: Iterable[Result], second: Iterable[Result]) -> Differences:
    """Compare the cells that two stores share: dataset, classifier, defense, attack, threat, eps; and worst cases."""
    return _between(_means(first), _means(second))


def between_defenses(results: Iterable[Result], first: str, second: str) -> Differences:
    """Compare two defenses, by label, on every attack and size that both were judged under, and by worst cases."""
    means = _means(results)
    sides = ({cell: values for cell, values in means.items() if cell.defense == label} for label in (first, second))
    one, other = ({replace(cell, defense=""): values for cell, values in side.items()} for side in sides)
    return _between(one, other)


def _means(results: Iterable[Result]) -> Means:
    """Return what is known of each cell (of several for one place, on most images), and of the worst cases."""
    kept = current(results)
    usable = sorted(
        (r for r in kept if r.ok and r.kind == "accuracy" and not r.partial), key=lambda r: (r.n, r.created)
    )
    return {**{_cell(result): result.means for result in usable}, **dict(_worst_cases(kept))}


def _cell(result: Result) -> Cell:
    threat = result.declared.threat.word if result.declared.threat else ""
    return Cell(result.place, result.seed, result.defense, result.attack or "", threat, result.eps)


def _worst_cases(results: Iterable[Result]) -> Iterator[tuple[Cell, NDArray[np.float64]]]:
    """Yield what is claimed, and the headline, of each row that has them at the mark."""
    for board in lay_out(results):
        where, eps = place(board.dataset, board.classifier, board.protocol), board.mark
        for row in board.rows.values():
            over = {CLAIMED: board.candidates(eps), ROBUST: board.headline(row, eps)}
            for what, columns in over.items():
                means = robust_means(row, columns)
                if means is not None:
                    yield Cell(where, board.seed, row.defense, what, "", eps), means


def _between(first: Means, second: Means) -> Differences:
    cells = sorted((cell for cell in first if cell in second), key=_order)
    compared = []
    for cell in cells:
        n = min(len(first[cell]), len(second[cell]))
        compared.append((first[cell][:n], second[cell][:n], n))
    tests = [compare(a, b) for a, b, _ in compared]
    adjusted = holm([test.p_value for test in tests])
    shared = [
        Difference(cell, float(a.mean()), float(b.mean()), test, p, n)
        for cell, (a, b, n), test, p in zip(cells, compared, tests, adjusted, strict=True)
    ]
    return Differences(shared, len(first) + len(second) - 2 * len(cells))


def _order(cell: Cell) -> tuple[object, ...]:
    """Put clean images and worst cases before single attacks."""
    return (cell.place, cell.seed, cell.defense, bool(cell.threat), cell.attack, cell.threat, cell.eps)
