"""Boards: what a set of results says about each defense. Pure functions on results; missing stays missing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from leaderboard.result import Result, Verdicts
from leaderboard.statistics import Comparison, Estimate, compare, estimate, holm

REFERENCE = "none"
"""The row every table starts with."""


@dataclass(frozen=True)
class Column:
    """One attack at one size."""

    attack: str
    eps: float
    norm: str


@dataclass
class Row:
    """One defense's results on a board."""

    defense: str
    clean: Result | None = None
    cells: dict[Column, Result] = field(default_factory=dict)
    latency: Result | None = None
    errors: list[Result] = field(default_factory=list)

    @property
    def contradicts_itself(self) -> bool:
        """It declares itself deterministic, and two passes over the same images differed."""
        probes = [r.probes for r in (self.clean, *self.cells.values()) if r is not None and r.ok]
        return not self.any.facts["stochastic"] and any(p.get("forward_agreement") is False for p in probes)

    @property
    def any(self) -> Result:
        """Any of the row's results: for the facts that all of them share."""
        return next(r for r in (self.clean, *self.cells.values(), self.latency, *self.errors) if r is not None)


@dataclass
class Board:
    """All defenses in front of one classifier on one dataset, attacked with one seed."""

    dataset: str
    classifier: str
    seed: int
    rows: dict[str, Row]
    columns: list[Column]

    @property
    def mark(self) -> float:
        """The Linf size at which the field compares defenses on this dataset."""
        return float(next(iter(self.rows.values())).any.facts["eps_mark"])

    @property
    def attacks(self) -> list[str]:
        """The attacks of the board, in the order of its columns."""
        return list(dict.fromkeys(column.attack for column in self.columns))

    def sizes(self, attack: str) -> list[Column]:
        """Return the columns of one attack, by size."""
        return [column for column in self.columns if column.attack == attack]

    def candidates(self, eps: float) -> list[Column]:
        """Return the Linf attacks at ``eps``: the set that the worst case is taken over."""
        return [column for column in self.columns if column.norm == "linf" and column.eps == eps]


@dataclass(frozen=True)
class Pair:
    """Two defenses compared on the same images."""

    first: str
    second: str
    comparison: Comparison
    adjusted: float
    """The p-value after Holm's correction over the board's pairs."""
    n: int


def current(results: Iterable[Result]) -> list[Result]:
    """Leave out what was computed with other weights, versions or plug-in sources than the newest of the same label.

    A row must not mix two classifiers, two trainings of a defense, or two forms of an attack that share a name.
    """
    kept = sorted(results, key=lambda r: r.created)
    for part in ("dataset", "classifier", "defense", "attack"):
        newest = {_place(result, part): _made_of(result, part) for result in kept}
        kept = [result for result in kept if _made_of(result, part) == newest[_place(result, part)]]
    return kept


def _place(result: Result, part: str) -> tuple[str | None, ...]:
    names = (result.dataset, result.classifier, result.defense)
    return {"dataset": names[:1], "classifier": names[:2], "defense": names}.get(part, (*names[:2], result.attack))


def _made_of(result: Result, part: str) -> tuple[object, ...]:
    described = result.identity.get(part) or {}
    return tuple(described.get(name) for name in ("version", "source", "weights"))


def boards(results: Iterable[Result]) -> list[Board]:
    """Sort current results into boards; of several numbers of images for one cell, the largest counts."""
    found: dict[tuple[str, str, int], Board] = {}
    for result in sorted(current(results), key=lambda r: (r.n, r.created)):
        place = (result.dataset, result.classifier, result.seed)
        board = found.setdefault(place, Board(*place, rows={}, columns=[]))
        row = board.rows.setdefault(result.defense, Row(result.defense))
        _enter(row, result)
        if result.kind == "accuracy" and result.attack:
            column = _column(result)
            if column not in board.columns:
                board.columns.append(column)
    for board in found.values():
        board.columns.sort(key=lambda c: (c.norm != "linf", c.attack == "noise", c.attack, c.eps))
        names = sorted(board.rows, key=lambda name: (name != REFERENCE, name))
        board.rows = {name: board.rows[name] for name in names}
    return [found[place] for place in sorted(found, key=lambda p: (p[0] != "mnist", *p))]


def accuracy(result: Result | None) -> Estimate | None:
    """Return the share of images classified right: under the result's attack, or clean where it has none."""
    if result is None or not result.ok:
        return None
    verdicts = result.adversarial if result.attack else result.clean
    return estimate(_means(verdicts)) if verdicts else None


def robust_means(row: Row, columns: Sequence[Column]) -> NDArray[np.float64] | None:
    """Return each image's robust share ``(n,)``: right on the clean image and on the worst of the attacks.

    The worst candidate (the clean image is one) is chosen on one set of draws and read from the other. None where the
    row lacks one of the ``columns``: a worst case over fewer attacks is another number. Candidates on different
    numbers of images share the first ones of the fixed order.
    """
    results = [row.cells.get(column) for column in columns]
    if not results or any(result is None or not result.ok for result in results):
        return None
    candidates: list[Verdicts] = []
    for result in results:
        if result is not None and result.clean and result.adversarial:
            candidates += [result.clean, result.adversarial]
    n = min(len(verdicts.reported) for verdicts in candidates)
    chosen = np.stack([verdicts.chosen[:n] / verdicts.draws for verdicts in candidates])
    reported = np.stack([verdicts.reported[:n] / verdicts.draws for verdicts in candidates])
    # Where draws leave several candidates level, the one that is stronger over all images is taken.
    by_strength = chosen.mean(axis=1).argsort(kind="stable")
    worst = by_strength[chosen[by_strength].argmin(axis=0)]
    means: NDArray[np.float64] = reported[worst, np.arange(n)]
    return means


def robust_accuracy(row: Row, columns: Sequence[Column]) -> Estimate | None:
    """Return the per-image worst case over the clean image and the attacks in ``columns``."""
    means = robust_means(row, columns)
    return None if means is None else estimate(means)


def votes(row: Row, column: Column) -> tuple[float, float, float] | None:
    """Return, for a stochastic row, majority-vote accuracy, and resubmission survival under attack and clean.

    An image survives resubmission if every one of its reported draws is right; the clean figure is the control.
    """
    result = row.cells.get(column)
    if result is None or not result.ok or not result.adversarial or not result.clean or result.adversarial.draws == 1:
        return None
    attacked, clean, draws = result.adversarial.reported, result.clean.reported, result.adversarial.draws
    return float((attacked > draws / 2).mean()), float((attacked == draws).mean()), float((clean == draws).mean())


def paired(board: Board) -> list[Pair]:
    """Compare every pair of defenses by the per-image worst case at the mark, Holm-corrected over all pairs."""
    columns = board.candidates(board.mark)
    means = {name: robust_means(row, columns) for name, row in board.rows.items()}
    known = {name: values for name, values in means.items() if values is not None}
    compared = []
    for first, second in combinations(known, 2):
        n = min(len(known[first]), len(known[second]))
        compared.append((first, second, compare(known[first][:n], known[second][:n]), n))
    adjusted = holm([comparison.p_value for _, _, comparison, _ in compared])
    return [Pair(*pair[:3], p, pair[3]) for pair, p in zip(compared, adjusted, strict=True)]


def failures(results: Iterable[Result]) -> list[Result]:
    """Return the current cells that failed."""
    return [result for result in current(results) if not result.ok]


def _means(verdicts: Verdicts) -> NDArray[np.float64]:
    return np.asarray(verdicts.reported / verdicts.draws, dtype=np.float64)


def _column(result: Result) -> Column:
    return Column(str(result.attack), result.eps, str(result.threat["norm"]))


def _enter(row: Row, result: Result) -> None:
    """Put a result in its place; a failed one must not hide a good one."""
    if not result.ok:
        row.errors.append(result)
    if result.kind == "latency":
        if result.ok:
            row.latency = result
    elif result.attack is None:
        if result.ok or row.clean is None:
            row.clean = result
    elif result.ok or _column(result) not in row.cells:
        row.cells[_column(result)] = result
