"""From results to boards: what belongs together, in the order in which it is shown. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable

from purification_bench.leaderboard.judging.boards import Board, Column, Row
from purification_bench.leaderboard.results.result import STANDARD, Result

WAY = ("attack", "after", "n")
"""Parts of an identity that say how images were attacked, and how many: of other numbers other sets are made."""


def lay_out(results: Iterable[Result]) -> list[Board]:
    """Sort current results into boards; of several numbers of images for one cell, the largest counts.

    Boards of the standard protocol come first, and of those the datasets that are compared at larger sizes.
    """
    boards: dict[tuple[str, str, int, str], Board] = {}
    for result in sorted(current(results), key=lambda r: (r.n, r.created)):
        place = (result.dataset, result.classifier, result.seed, result.protocol)
        board = boards.setdefault(place, Board(*place, rows={}, columns=[]))
        row = board.rows.setdefault(result.defense, Row(result.defense))
        _enter(row, result)
        if result.kind == "accuracy" and result.attack:
            column = Column.of(result)
            if column not in board.columns:
                board.columns.append(column)
    for board in boards.values():
        board.columns.sort(key=_order_of_columns)
        board.rows = dict(sorted(board.rows.items(), key=lambda item: (not item[1].undefended, item[0])))
    for board in boards.values():
        board.control = _control(board, boards.values())
    return [boards[place] for place in sorted(boards, key=lambda p: (p[3] != STANDARD, -boards[p].mark, *p))]


def current(results: Iterable[Result]) -> list[Result]:
    """Leave out what was computed with other weights, versions or plug-in sources than the newest of the same label.

    A row must not mix two classifiers, two trainings of a defense, or two forms of an attack that share a name.
    """
    kept = sorted(results, key=lambda r: r.created)
    for part in ("dataset", "classifier", "defense", "attack"):
        newest = {_place(result, part): _made_of(result, part) for result in kept}
        kept = [result for result in kept if _made_of(result, part) == newest[_place(result, part)]]
    return kept


def failures(results: Iterable[Result]) -> list[Result]:
    """Return the current cells that failed."""
    return [result for result in current(results) if not result.ok]


def _order_of_columns(column: Column) -> tuple[object, ...]:
    """Put Linf before L2, the baseline before other threats, and controls behind attacks."""
    threat = column.threat
    return (
        *(column.norm != "linf", not threat.is_baseline, threat.word),
        *(column.traits.control, column.attack, column.eps),
    )


def _place(result: Result, part: str) -> tuple[str | None, ...]:
    names = (result.dataset, result.classifier, result.defense)
    return {"dataset": names[:1], "classifier": names[:2], "defense": names}.get(part, (*names[:2], result.attack))


def _made_of(result: Result, part: str) -> tuple[object, ...]:
    described = result.identity.get(part) or {}
    return tuple(described.get(name) for name in ("version", "source", "weights"))


def _control(board: Board, among: Iterable[Board]) -> Row | None:
    """Find the undefended row before a classifier of standard training: the board's own, or another's."""
    here = (board.dataset, board.seed, board.protocol)
    same = [other for other in among if (other.dataset, other.seed, other.protocol) == here]
    for other in sorted(same, key=lambda other: other is not board):
        for row in other.rows.values():
            if row.undefended and not row.newest.facts.get("adversarial_eps"):
                return row
    return None


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
        _enter_cell(row, Column.of(result), result)


def _enter_cell(row: Row, column: Column, result: Result) -> None:
    """Of two ways to attack under one name both count, and the one on more images, or the stronger, is shown.

    Of two results of one way the newer replaces the older.
    """
    known = row.cells.get(column)
    same = known is not None and all(known.identity.get(part) == result.identity.get(part) for part in WAY)
    if known is None or not known.ok or (result.ok and same):
        row.cells[column] = result
    elif result.ok:
        other, shown = sorted((known, result), key=lambda r: (not r.partial, int(r.met.sum()), -r.means.mean()))
        row.cells[column] = shown
        row.also.setdefault(column, []).append(other)
