"""The check of the attacks themselves, on what has no defense."""

from __future__ import annotations

from purification_bench.leaderboard.judging.boards import Board, Column, Row
from purification_bench.leaderboard.judging.checks.evidence import attacked, seeing, share
from purification_bench.leaderboard.judging.checks.finding import Finding, conclude

UNBROKEN = 0.05
"""Share that an attack that works leaves, at most, of a classifier without a defense."""


def attacks_work_at_all(board: Board, row: Row) -> Finding:
    """Expect the attacks to break a classifier of standard training without a defense."""
    control = board.control
    used = {column.attack for column in seeing(row)}
    strong = [c for c in _on_classifier(control, board.mark) if c.attack in used] if control else []
    said = [
        (
            f"{column.attack} leaves {share(control, column)} of a classifier without a defense",
            bool(control.cells[column].means.mean() > UNBROKEN),
        )
        for column in strong
        if control
    ]
    return conclude("the attacks work at all", said, "its attacks of many steps met no classifier without a defense")


def _on_classifier(control: Row, eps: float) -> list[Column]:
    """Return the attacks of many steps on what has no defense: bare, surrogate's and true gradient are one there."""
    return [
        column
        for column in attacked(control)
        if column.threat.judges
        and column.threat.gradient in ("classifier", "surrogate", "true")
        and column.eps == eps
        and column.traits.descends
    ]
