"""Two stores, or two defenses of one store, compared cell by cell on the same images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, replace

from purification_bench.leaderboard.judging.layout import current
from purification_bench.leaderboard.judging.statistics import Comparison, compare, holm
from purification_bench.leaderboard.results.result import Result


@dataclass(frozen=True)
class Cell:
    """What two results have in common that are compared."""

    place: tuple[str, ...]
    """Dataset, classifier, and the protocol, if it is not the standard one."""
    seed: int
    defense: str
    """Empty where two defenses are compared."""
    attack: str
    """Empty for clean images."""
    threat: str
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
    """Compare the cells that two stores share: dataset, classifier, defense, attack, threat, eps."""
    return _between(_by_cell(first, _cell), _by_cell(second, _cell))


def between_defenses(results: Iterable[Result], first: str, second: str) -> Differences:
    """Compare two defenses, by label, on every attack and size that both were judged under."""
    kept = list(results)
    sides = ((result for result in kept if result.defense == label) for label in (first, second))
    one, other = (_by_cell(side, lambda result: replace(_cell(result), defense="")) for side in sides)
    return _between(one, other)


def _cell(result: Result) -> Cell:
    threat = result.declared.threat.word if result.declared.threat else ""
    return Cell(result.place, result.seed, result.defense, result.attack or "", threat, result.eps)


def _by_cell(results: Iterable[Result], cell: Callable[[Result], Cell]) -> dict[Cell, Result]:
    """Index the good accuracy cells; of several for one place, the one on most images."""
    usable = [r for r in current(results) if r.ok and r.kind == "accuracy"]
    return {cell(r): r for r in sorted(usable, key=lambda r: (r.n, r.created))}


def _between(first: Mapping[Cell, Result], second: Mapping[Cell, Result]) -> Differences:
    cells = sorted((cell for cell in first if cell in second), key=astuple)
    compared = []
    for cell in cells:
        n = min(first[cell].n, second[cell].n)
        compared.append((first[cell].means[:n], second[cell].means[:n], n))
    tests = [compare(a, b) for a, b, _ in compared]
    adjusted = holm([test.p_value for test in tests])
    shared = [
        Difference(cell, float(a.mean()), float(b.mean()), test, p, n)
        for cell, (a, b, n), test, p in zip(cells, compared, tests, adjusted, strict=True)
    ]
    return Differences(shared, len(first) + len(second) - 2 * len(cells))
