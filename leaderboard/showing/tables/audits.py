"""What the audit makes of a board's rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from purification_bench.leaderboard.judging import audit
from purification_bench.leaderboard.judging.boards import Board, Row
from purification_bench.leaderboard.judging.checks.evidence import LEVEL, POINTS
from purification_bench.leaderboard.judging.checks.finding import Finding
from purification_bench.leaderboard.showing.names import row_name
from purification_bench.leaderboard.showing.table import Table, figures, words
from purification_bench.leaderboard.showing.values import (
    Count,
    Listing,
    Missing,
    Term,
    Text,
    Value,
    listing,
    text,
)


def checks(board: Board) -> Table | None:
    """Every audited row's failed checks, and what they found; None where no row was audited."""
    audits = {name: audit.audit(board, row) for name, row in board.rows.items() if audit.audited(board, row)}
    if not audits:
        return None
    rows = [[row_name(board, board.rows[name]), *_outcomes(findings)] for name, findings in audits.items()]
    every = "; ".join(finding.check for finding in next(iter(audits.values())))
    note = text(
        f"The checks: {every}. One that failed takes the row's rank, unless it only informs. Margins are significant "
        f"at {100 * LEVEL:g} % on paired images, and at least {100 * POINTS:g} points."
    )
    headings = [*words("defense", "failed", "informs", "not run"), *figures("passed")]
    return Table("Audit", headings, rows, note, _evidence(board, audits))


def _outcomes(findings: Sequence[Finding]) -> list[Value]:
    informs = [finding for finding in findings if finding.state == "failed" and not finding.gates]
    not_run = [finding for finding in findings if finding.state == "not run"]
    passed = sum(finding.state == "passed" for finding in findings)
    return [*map(_named, (audit.gating(findings), informs, not_run)), Count(passed)]


def _named(findings: Iterable[Finding]) -> Listing | Missing:
    return listing(text(finding.check) for finding in findings)


def _evidence(board: Board, audits: Mapping[str, Sequence[Finding]]) -> list[Text]:
    return [
        text(row_name(board, board.rows[name]), ": ", Term(finding.check), f": {finding.evidence}.")
        for name, findings in audits.items()
        for finding in findings
        if finding.state == "failed"
    ]


def every_check(board: Board, row: Row) -> Table:
    """Every check of one row, its outcome and its evidence."""
    findings = audit.audit(board, row)
    rows = [[text(_outcome(finding)), text(finding.check), text(finding.evidence)] for finding in findings]
    return Table(f"{row.defense}, {board.dataset}", words("", "check", "evidence"), rows)


def _outcome(finding: Finding) -> str:
    if finding.state == "failed":
        return "FAILED" if finding.gates else "informs"
    return "ok" if finding.state == "passed" else finding.state
