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


WORDS = {"bare": "graybox", "full": "whitebox", "queries": "blackbox", "frozen": "fixed-seed"}
"""What a gradient estimator is called as a threat, where the two differ."""
BLIND = ("graybox", "transfer")
"""Threats of attackers who know no purifier."""
INFORMS = frozenset({"fixed-seed"})
"""Threats that enter no worst case."""
ITERATIVE = ("pgd", "apgd", "bim")
"""What the names of the gradient attacks start with that take many steps."""
SEES = ("bpda", "whitebox", "soft")
"""Threats that no headline goes without, where they fit the defense: an attack of many steps under each."""


@dataclass(frozen=True)
class Column:
    """One attack at one size under one threat."""

    attack: str
    eps: float
    norm: str
    threat: str = "graybox"


@dataclass
class Row:
    """One defense's results on a board."""

    defense: str
    clean: Result | None = None
    cells: dict[Column, Result] = field(default_factory=dict)
    also: dict[Column, list[Result]] = field(default_factory=dict)
    """Results of a column that were attacked in another way (other draws, another stand-in): candidates too."""
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
    control: Row | None = None
    """The classifier of standard training without a defense: on its board the attacks must succeed."""

    @property
    def mark(self) -> float:
        """The Linf size at which the field compares defenses on this dataset."""
        return float(next(iter(self.rows.values())).any.facts["eps_mark"])

    @property
    def attacks(self) -> list[tuple[str, str]]:
        """The attacks of the board, each with its threat, in the order of its columns."""
        return list(dict.fromkeys((column.attack, column.threat) for column in self.columns))

    def sizes(self, attack: str, threat: str = "graybox") -> list[Column]:
        """Return the columns of one attack under one threat, by size."""
        return [column for column in self.columns if (column.attack, column.threat) == (attack, threat)]

    @property
    def threats(self) -> list[str]:
        """The threats of the board, gray-box first."""
        return list(dict.fromkeys(column.threat for column in self.columns))

    @property
    def adaptive(self) -> bool:
        """Some attacker of the board sees the purifier."""
        return any(threat not in (*BLIND, *INFORMS) for threat in self.threats)

    def candidates(self, eps: float, *threats: str) -> list[Column]:
        """Return the Linf attacks at ``eps`` under ``threats`` (gray-box alone, if none is named)."""
        among = threats or ("graybox",)
        return [c for c in self.columns if c.norm == "linf" and c.eps == eps and c.threat in among]

    def headline(self, row: Row, eps: float) -> list[Column]:
        """Return what a row's adaptive worst case at ``eps`` is taken over: every attack that fits it.

        Attacks of smaller size that see the purifier are among them: their images lie in the larger ball as well, so
        the worst case cannot rise with eps. An attack that raised an error is left out, and flagged by the audit.
        Empty where gray-box, or an attack of many steps under a threat of ``SEES`` that fits the defense, was not run
        at this size.
        """
        tried = [column for column in self.candidates(eps, *self._judging) if column in row.cells]
        there = [column for column in tried if row.cells[column].ok]
        run = {c.threat for c in tried if c.threat not in SEES or iterates(row.cells[c])}
        if not _needed(row) <= run or not any(c.threat in SEES for c in there):
            return []
        smaller = [c for c in self.columns if c.norm == "linf" and c.eps < eps and c.threat in self._judging]
        return there + [c for c in smaller if c.threat not in BLIND and c in row.cells and row.cells[c].ok]

    @property
    def _judging(self) -> list[str]:
        return [threat for threat in self.threats if threat not in INFORMS]

    def adaptive_sizes(self, row: Row) -> list[float]:
        """Return the Linf sizes at which an attacker who sees a row's purifier was let loose."""
        sizes = {c.eps for c in self.columns if c.norm == "linf"}
        return sorted(eps for eps in sizes if self.headline(row, eps))


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
        board.columns.sort(
            key=lambda c: (c.norm != "linf", c.threat != "graybox", c.threat, c.attack == "noise", c.attack, c.eps)
        )
        names = sorted(board.rows, key=lambda name: (name != REFERENCE, name))
        board.rows = {name: board.rows[name] for name in names}
    for board in found.values():
        board.control = _control(board, found.values())
    return [found[place] for place in sorted(found, key=lambda p: (p[0] != "mnist", *p))]


def _control(board: Board, among: Iterable[Board]) -> Row | None:
    """Find the undefended row before a classifier of standard training: the board's own, or another's."""
    same = [other for other in among if (other.dataset, other.seed) == (board.dataset, board.seed)]
    for other in sorted(same, key=lambda other: other is not board):
        row = other.rows.get(REFERENCE)
        if row is not None and not row.any.facts.get("adversarial_eps"):
            return row
    return None


def accuracy(result: Result | None) -> Estimate | None:
    """Return the share of images classified right: under the result's attack, or clean where it has none."""
    if result is None or not result.ok:
        return None
    verdicts = result.adversarial if result.attack else result.clean
    return estimate(_means(verdicts)) if verdicts else None


def robust_means(row: Row, columns: Sequence[Column]) -> NDArray[np.float64] | None:
    """Return each image's robust share ``(n,)``: right on the clean image and on the worst of the attacks.

    The worst candidate (the clean image is one) is chosen on one set of draws and read from the other. None where the
    row lacks one of the ``columns``: a worst case over fewer attacks is another number.

    The images are as many, the first of the fixed order, as under each threat of ``SEES`` some attack of many steps and
    of the largest size judged (where there is none: as every attack judged). An attack on fewer is a candidate for
    those, so that no attack, however few its images, can raise the worst case, or narrow what it is taken over.
    """
    results = [row.cells.get(column) for column in columns]
    if not results or any(result is None or not result.ok for result in results):
        return None
    n = _images(row, columns)
    found = [result for result in results if result is not None]
    found += [other for column in columns for other in row.also.get(column, [])]
    candidates = [v for result in found for v in (result.clean, result.adversarial) if v is not None]
    chosen = np.stack([_shares(verdicts.chosen, verdicts.draws, n) for verdicts in candidates])
    reported = np.stack([_shares(verdicts.reported, verdicts.draws, n) for verdicts in candidates])
    # Where draws leave several candidates level, the one that is stronger over all its images is taken.
    by_strength = np.nanmean(np.where(np.isinf(chosen), np.nan, chosen), axis=1).argsort(kind="stable")
    worst = by_strength[chosen[by_strength].argmin(axis=0)]
    means: NDArray[np.float64] = reported[worst, np.arange(n)]
    return means


def _images(row: Row, columns: Sequence[Column]) -> int:
    """Return how many images a worst case is taken over."""
    largest = max(column.eps for column in columns)
    counts: dict[str, int] = {}
    for column in columns:
        result = row.cells[column]
        if column.threat in SEES and column.eps == largest and iterates(result):
            counts[column.threat] = max(counts.get(column.threat, 0), result.n)
    return min(counts.values() or (row.cells[column].n for column in columns))


def iterates(result: Result) -> bool:
    """Say whether a result's attack takes many steps: one step bounds little."""
    attack = result.identity["attack"]
    named = str(attack["name"]).startswith((*ITERATIVE, "autoattack"))
    return int(attack["options"].get("steps", 2 if named else 1)) > 1


def robust_accuracy(row: Row, columns: Sequence[Column]) -> Estimate | None:
    """Return the per-image worst case over the clean image and the attacks in ``columns``."""
    means = robust_means(row, columns)
    return None if means is None else estimate(means)


def area(board: Board, row: Row) -> float | None:
    """Return the mean of the adaptive worst case over sizes from 0 (clean) to the mark, by trapezoids.

    Over the sizes that all rows with a headline share: another grid would give another area.
    """
    grids = [set(board.adaptive_sizes(other)) for other in board.rows.values()]
    shared = set.intersection(set(board.adaptive_sizes(row)), *(grid for grid in grids if board.mark in grid))
    sizes = sorted(eps for eps in shared if eps <= board.mark)
    clean = accuracy(row.clean)
    worst = [robust_accuracy(row, board.headline(row, eps)) for eps in sizes]
    if clean is None or not sizes or sizes[-1] != board.mark or any(estimate is None for estimate in worst):
        return None
    values = [clean.value, *(estimate.value for estimate in worst if estimate)]
    return float(np.trapezoid(values, [0.0, *sizes]) / board.mark)


def gap(board: Board, row: Row) -> float | None:
    """Return how much of the claimed worst case at the mark an attacker takes who sees the purifier."""
    claimed = robust_means(row, board.candidates(board.mark))
    robust = robust_means(row, board.headline(row, board.mark))
    if claimed is None or robust is None:
        return None
    n = min(len(claimed), len(robust))
    return float(claimed[:n].mean() - robust[:n].mean())


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


def failures(results: Iterable[Result]) -> list[Result]:
    """Return the current cells that failed."""
    return [result for result in current(results) if not result.ok]


def _needed(row: Row) -> set[str]:
    """Return the threats that a row's headline does not go without."""
    facts = row.any.facts
    fits = {"bpda": True, "whitebox": facts["differentiable"], "soft": facts.get("relaxes", False)}
    return {"graybox", *(threat for threat in SEES if fits[threat])}


def _shares(counts: NDArray[np.uint8], draws: int, n: int) -> NDArray[np.float64]:
    """Return the share of draws that are right for ``n`` images; infinite, no candidate, for those not judged."""
    padded = np.full(n, np.inf)
    padded[: len(counts)] = counts[:n] / draws
    return padded


def _means(verdicts: Verdicts | None) -> NDArray[np.float64]:
    if verdicts is None:
        raise ValueError("a cell of accuracy has no verdicts")
    return np.asarray(verdicts.reported / verdicts.draws, dtype=np.float64)


def threat_of(result: Result) -> str:
    """Name the threat of a result's attack, as ``--threat`` does; ``none`` for clean images."""
    attack = result.identity.get("attack")
    estimator = str(attack["estimator"]) if attack else "none"
    return WORDS.get(estimator, estimator)


def _column(result: Result) -> Column:
    return Column(str(result.attack), result.eps, str(result.threat["norm"]), threat_of(result))


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
    else:
        _enter_cell(row, _column(result), result)


def _enter_cell(row: Row, column: Column, result: Result) -> None:
    """Of two ways to attack under one name both count, and the one on more images, or the stronger, is shown.

    Of two results of one way the newer replaces the older.
    """
    known = row.cells.get(column)
    same = known is not None and known.identity["attack"] == result.identity["attack"]
    if known is None or not known.ok or (result.ok and same):
        row.cells[column] = result
    elif result.ok:
        other, shown = sorted((known, result), key=lambda r: (r.n, -float(_means(r.adversarial).mean())))
        row.cells[column] = shown
        row.also.setdefault(column, []).append(other)
