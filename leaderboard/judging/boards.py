"""Boards: results laid out, defense by defense, attack by attack. Pure functions; missing stays missing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from purification_bench.leaderboard.results.result import STANDARD, Result, place

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
        return not self.newest.facts["stochastic"] and any(p.get("forward_agreement") is False for p in probes)

    @property
    def newest(self) -> Result:
        """The row's last result (neither an error nor a latency, if there is another): what it now says of itself."""
        known = (r for r in (self.clean, *self.cells.values(), self.latency, *self.errors) if r is not None)
        return max(known, key=lambda r: (r.ok, r.kind == "accuracy", r.created))


@dataclass
class Board:
    """All defenses in front of one classifier on one dataset, attacked with one seed under one protocol."""

    dataset: str
    classifier: str
    seed: int
    protocol: str
    rows: dict[str, Row]
    columns: list[Column]
    control: Row | None = None
    """The classifier of standard training without a defense: on its board the attacks must succeed."""

    @property
    def title(self) -> str:
        """What the board is called."""
        return ", ".join(place(self.dataset, self.classifier, self.protocol))

    @property
    def mark(self) -> float:
        """The Linf size at which the field compares defenses on this dataset."""
        return float(next(iter(self.rows.values())).newest.facts["eps_mark"])

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
        """Return the Linf attacks at ``eps`` under ``threats`` (gray-box alone, if none is named).

        None under another protocol than the standard one: its rows enter no worst case.
        """
        if self.protocol != STANDARD:
            return []
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
    found: dict[tuple[str, str, int, str], Board] = {}
    for result in sorted(current(results), key=lambda r: (r.n, r.created)):
        place = (result.dataset, result.classifier, result.seed, result.protocol)
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
    here = (board.dataset, board.seed, board.protocol)
    same = [other for other in among if (other.dataset, other.seed, other.protocol) == here]
    for other in sorted(same, key=lambda other: other is not board):
        row = other.rows.get(REFERENCE)
        if row is not None and not row.newest.facts.get("adversarial_eps"):
            return row
    return None


def iterates(result: Result) -> bool:
    """Say whether a result's attack takes many steps: one step bounds little."""
    attack = result.identity["attack"]
    named = str(attack["name"]).startswith((*ITERATIVE, "autoattack"))
    return int(attack["options"].get("steps", 2 if named else 1)) > 1


def failures(results: Iterable[Result]) -> list[Result]:
    """Return the current cells that failed."""
    return [result for result in current(results) if not result.ok]


def threat_of(result: Result) -> str:
    """Name the threat of a result's attack, as ``--threat`` does; ``none`` for clean images."""
    attack = result.identity.get("attack")
    estimator = str(attack["estimator"]) if attack else "none"
    return WORDS.get(estimator, estimator)


def _needed(row: Row) -> set[str]:
    """Return the threats that a row's headline does not go without."""
    facts = row.newest.facts
    fits = {"bpda": True, "whitebox": facts["differentiable"], "soft": facts.get("relaxes", False)}
    return {"graybox", *(threat for threat in SEES if fits[threat])}


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
        other, shown = sorted((known, result), key=lambda r: (r.n, -r.means.mean()))
        row.cells[column] = shown
        row.also.setdefault(column, []).append(other)
