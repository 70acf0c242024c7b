"""The tables of what attackers who see the purifiers left, and of what the audit makes of it."""

from __future__ import annotations

from purification_bench.leaderboard.judging import audit
from purification_bench.leaderboard.judging.aggregate import accuracy, robust_accuracy
from purification_bench.leaderboard.judging.boards import Board, Column, Row
from purification_bench.leaderboard.judging.checks.evidence import LEVEL, POINTS, smallest_margin
from purification_bench.leaderboard.results.declared import Threat
from purification_bench.leaderboard.showing.tables import MISSING, Table, image_counts, percent, point, span


def by_threat(board: Board, brief: bool = False) -> Table | None:
    """Worst case under each threat, and the headline, at each size that has one; None where nobody sees a purifier.

    Without intervals if ``brief``.
    """
    write = point if brief else percent
    threats = [threat for threat in board.threats if threat.judges]
    sizes = sorted({eps for row in board.rows.values() for eps in board.adaptive_sizes(row)})
    rows = []
    for eps in sizes:
        for row in board.rows.values():
            if eps not in board.adaptive_sizes(row):
                continue
            each = [robust_accuracy(row, _under(row, board, eps, threat)) for threat in threats]
            whole = board.headline(row, eps)
            n = image_counts(row.cells.get(column) for column in whole)
            cells = [write(found) for found in (*each, robust_accuracy(row, whole))]
            rows.append([f"`{row.defense}`", f"{eps:g}", *cells, n])
    if not rows:
        return None
    note = (
        "Right on the clean image and under every attack of that size and threat; *headline*: under all of them, and "
        "those of smaller size (chosen on one set of draws and read from another, so of a stochastic defense it can "
        f"lie above one threat's column, by chance). {MISSING}: the threat has nothing to attack there, or was not run."
    )
    return Table(
        "Worst case by threat", ["defense", "eps", *(threat.word for threat in threats), "headline", "n"], rows, note
    )


def _under(row: Row, board: Board, eps: float, threat: Threat) -> list[Column]:
    return [column for column in board.candidates(eps, threat) if column in row.cells]


def how(board: Board) -> Table | None:
    """How the attackers went about it who see the purifier; None where there is none."""
    rows = []
    for row in board.rows.values():
        attacked = any(not column.threat.is_baseline for column in row.cells)
        for threat in board.threats:
            cells = {c: r for c, r in row.cells.items() if c.threat == threat and r.ok}
            if threat.gradient == "true" and attacked and not row.fits(threat.asks):
                rows.append([f"`{row.defense}`", threat.word, "none: it declares no gradient", *4 * [MISSING]])
            if threat.is_baseline or not cells:
                continue
            described = [result.identity["attack"] for result in cells.values()]
            stand_ins = {each.get("stand_in") or each.get("substitute", {}).get("label") for each in described} - {None}
            draws = sorted({int(each.get("eot_samples", 1)) for each in described})
            queries = [float(r.probes["queries_per_image"]) for r in cells.values() if "queries_per_image" in r.probes]
            rows.append(
                [
                    f"`{row.defense}`", threat.word, ", ".join(dict.fromkeys(column.attack for column in cells)),
                    ", ".join(f"`{name}`" for name in sorted(stand_ins)) or "itself", span(draws),
                    span([round(count) for count in sorted(queries)]), image_counts(cells.values()),
                ]
            )  # fmt: skip
    headers = ["defense", "threat", "attacks", "attacked as", "draws", "queries an image", "n"]
    note = (
        "What is attacked may be a cheaper form of the defense or, under transfer, another classifier; what is judged "
        "is the defense itself. *Draws*: what a loss gradient is averaged over; under blackbox, the logits of one "
        "answer."
    )
    return Table("How they were attacked", headers, rows, note, words=4) if rows else None


def verdicts(board: Board) -> Table | None:
    """Say what the audit of each row comes to; None where no row was audited."""
    rows = []
    for row in board.rows.values():
        if audit.audited(board, row):
            claimed = robust_accuracy(row, board.candidates(board.mark))
            worst = robust_accuracy(row, board.headline(row, board.mark))
            shares = [percent(found) for found in (accuracy(row.clean), claimed, worst)]
            margin = f"{100 * smallest_margin(row):.2g} points"
            rows.append([f"`{row.defense}`", audit.verdict(board, row), *shares, margin])
    at = f"at {board.mark:g}"
    headers = ["defense", "verdict", "clean", f"claimed {at}", f"robust {at}", "sees margins from"]
    note = "On so few images, a check that compares two attacks cannot see a smaller margin than the last column's."
    return Table("What the audit comes to", headers, rows, note, words=2) if rows else None


def checks(board: Board) -> Table | None:
    """Every audited row's failed checks, and what they found; None where no row was audited."""
    audits = {name: audit.audit(board, row) for name, row in board.rows.items() if audit.audited(board, row)}
    if not audits:
        return None
    rows = []
    for name, findings in audits.items():
        failed, informs = audit.gating(findings), [f for f in findings if f.state == "failed" and not f.gates]
        not_run = [f for f in findings if f.state == "not run"]
        passed = sum(f.state == "passed" for f in findings)
        named = (", ".join(f.check for f in some) or MISSING for some in (failed, informs, not_run))
        rows.append([f"`{name}`", *named, str(passed)])
    found = [
        f"- `{name}`: *{finding.check}*: {finding.evidence}."
        for name, findings in audits.items() for finding in findings if finding.state == "failed"
    ]  # fmt: skip
    every = "; ".join(finding.check for finding in next(iter(audits.values())))
    note = (
        f"The checks: {every}. One that failed takes the row's rank, unless it only informs. Margins are significant "
        f"at {100 * LEVEL:g} % on paired images, and at least {100 * POINTS:g} points."
    )
    headers = ["defense", "failed", "informs", "not run", "passed"]
    return Table("Audit", headers, rows, "\n".join([note, "", *found]) if found else note, words=4)
