"""Is a row robust, or is its gradient masked? What its checks come to."""

from __future__ import annotations

from collections.abc import Iterable

from purification_bench.leaderboard.judging.aggregate import robust_accuracy
from purification_bench.leaderboard.judging.boards import Board, Row
from purification_bench.leaderboard.judging.checks.control import attacks_work_at_all
from purification_bench.leaderboard.judging.checks.evidence import by_chance
from purification_bench.leaderboard.judging.checks.finding import Finding
from purification_bench.leaderboard.judging.checks.rules import RULES


def audit(board: Board, row: Row) -> list[Finding]:
    """Return every check's finding."""
    return [rule(board, row) for rule in RULES]


def verdict(board: Board, row: Row) -> str:
    """Return in a few words what an audit comes to."""
    failed = gating(audit(board, row))
    worst = robust_accuracy(row, board.headline(row, board.mark))
    if failed:
        return "flagged: " + ", ".join(finding.check for finding in failed)
    if worst is None:
        return "not judged: an attack is missing"
    if not shown_to_work(board, row):
        return "not judged: nothing shows that the attacks work"
    if worst.value <= by_chance(row):
        return "not robust: no better than chance"
    return "stands"


def stands(board: Board, row: Row) -> bool:
    """Say whether a row may have a rank: no check that gates failed, and its attacks are known to work."""
    return not gating(audit(board, row)) and shown_to_work(board, row)


def shown_to_work(board: Board, row: Row) -> bool:
    """Say whether a row's attacks were let loose on a classifier that has no defense, and broke it."""
    return attacks_work_at_all(board, row).state == "passed"


def audited(board: Board, row: Row) -> bool:
    """Say whether some attacker of a row sees its purifier: an audit without one would say nothing."""
    return any(column.threat.follows_gradient for column in row.cells)


def gating(findings: Iterable[Finding]) -> list[Finding]:
    """Return the failed checks that take a row's rank."""
    return [finding for finding in findings if finding.state == "failed" and finding.gates]
