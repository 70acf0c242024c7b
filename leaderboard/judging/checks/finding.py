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


REFUSES = "its detector rejects images, which count as wrong: attacks cannot be held against each other"


Sentence = tuple[str, bool]
"""What a check looked at, with its numbers, and whether that is a complaint."""
QUOTED = 2
"""Sentences that a passed check quotes."""


def conclude(check: str, said: Sequence[Sentence], idle: str, *, gates: bool = True) -> Finding:
    """Return a check's finding: failed where a sentence complains, passed where none does.

    Not run where there are none; ``idle`` says why that may be.
    """
    if not said:
        return Finding(check, "not run", gates, idle)
    complaints = [sentence for sentence, complains in said if complains]
    if complaints:
        return Finding(check, "failed", gates, "; ".join(complaints))
    quoted = [sentence for sentence, _ in said[:QUOTED]]
    more = [f"and {len(said) - QUOTED} more"] if len(said) > QUOTED else []
    return Finding(check, "passed", gates, "; ".join([*quoted, *more]))
