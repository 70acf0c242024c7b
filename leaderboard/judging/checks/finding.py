"""What a check is, and what it finds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from purification_bench.leaderboard.judging.boards import Board, Row

State = Literal["passed", "failed", "not run"]


@dataclass(frozen=True)
class Finding:
    """What one check says of one row."""

    check: str
    state: State
    gates: bool
    """A failed check that gates takes the row's rank."""
    evidence: str
    """One sentence with its numbers."""


Check = Callable[[Board, Row], Finding]


def conclude(check: str, ran: bool, complaints: Sequence[str], passed: str, *, gates: bool = True) -> Finding:
    """Return a check's finding: failed where there are complaints; ``passed`` is the evidence where there are none."""
    if not ran:
        return Finding(check, "not run", gates, "")
    return Finding(check, "failed" if complaints else "passed", gates, "; ".join(complaints) or passed)
