"""Is a row robust, or is its gradient masked? What its checks come to."""

from __future__ import annotations

from collections.abc import Iterable

from purification_bench.leaderboard.judging.aggregate import standing
from purification_bench.leaderboard.judging.boards import Board, Row
from purification_bench.leaderboard.judging.checks.control import attacks_work_at_all
from purification_bench.leaderboard.judging.checks.evidence import FEWEST, by_chance
from purification_bench.leaderboard.judging.checks.finding import Finding
from purification_bench.leaderboard.judging.checks.rules import RULES
from purification_bench.leaderboard.judging.checks.steps import FALL, fall_by_more_steps

STANDS = "stands"


def audit(board: Board, row: Row) -> list[Finding]:
    """Return every check's finding."""
    return [rule(board, row) for rule in RULES]


def verdict(board: Board, row: Row) -> str:
    """Return in a few words what an audit comes to.

    An upper bound as low as chance needs no audit; else a check that failed comes first.
    """
    worst, chance = standing(board, row, board.mark).robust, by_chance(row)
    if worst is not None and worst.value <= chance:
        return "not robust: no better than chance"
    failed = gating(audit(board, row)) if audited(board, row) else []
    if failed:
        return "fails " + ", ".join(f"'{finding.check}'" for finding in failed)
    unjudged = _why_unjudged(board, row)
    if worst is None or unjudged:
        return f"not judged: {unjudged}"
    fall = fall_by_more_steps(board, row)
    if fall is not None and fall[1] - fall[2] > FALL:
        return f"not converged: more steps took {100 * (fall[1] - fall[2]):.1f} points"
    if worst.low <= chance:
        return f"not shown to be better than chance, on {worst.n} images"
    return STANDS if worst.n >= FEWEST else f"{STANDS}, on {worst.n} images: too few for a rank"


def _why_unjudged(board: Board, row: Row) -> str:
    """Say what a row's attacks leave open; empty where they have tried all, and work."""
    lacking = board.lacking(row, board.mark)
    if lacking:
        return lacking
    if any(row.cells[column].partial for column in board.headline(row, board.mark)):
        return "attacks passed over what others broke (--worst-case)"
    return "" if shown_to_work(board, row) else "nothing shows that the attacks work"


def stands(board: Board, row: Row) -> bool:
    """Say whether a row has a rank: nothing is said against it, on enough images."""
    return verdict(board, row) == STANDS


def shown_to_work(board: Board, row: Row) -> bool:
    """Say whether a row's attacks were let loose on a classifier that has no defense, and broke it."""
    return attacks_work_at_all(board, row).state == "passed"


def audited(board: Board, row: Row) -> bool:
    """Say whether some attacker of a row sees its purifier: an audit without one would say nothing."""
    return any(column.threat.follows_gradient for column in row.cells)


def gating(findings: Iterable[Finding]) -> list[Finding]:
    """Return the failed checks that take a row's rank."""
    return [finding for finding in findings if finding.state == "failed" and finding.gates]
