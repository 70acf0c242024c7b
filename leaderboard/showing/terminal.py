"""Tables as a terminal shows them: point estimates, cut to its width."""

from __future__ import annotations

import re
from dataclasses import replace

from purification_bench.leaderboard.judging.aggregate import accuracy, robust_accuracy
from purification_bench.leaderboard.judging.boards import Board
from purification_bench.leaderboard.showing.tables import Table, end_to_end, point


def overview(board: Board, width: int) -> list[Table]:
    """Point estimates of everything, for a terminal: as many tables of ``width`` characters as it takes."""
    rows = list(board.rows.values())
    worst = [robust_accuracy(row, board.candidates(board.mark)) for row in rows]
    robust = [robust_accuracy(row, board.headline(row, board.mark)) for row in rows]
    columns = [("clean", [point(accuracy(row.clean)) for row in rows])]
    for column in board.columns:
        cells = [point(accuracy(row.cells.get(column))) for row in rows]
        name = column.attack if column.threat.is_baseline else f"{column.attack}\n{column.threat.word}"
        columns.append((f"{name}\n{column.eps:g}", cells))
    columns.append((f"claimed\n{board.mark:g}", [point(estimate) for estimate in worst]))
    if board.adaptive:
        columns.append((f"robust\n{board.mark:g}", [point(estimate) for estimate in robust]))
    columns.append(("p50\nms", [end_to_end(row)[0] for row in rows]))
    headers = ["defense", *(header for header, _ in columns)]
    body = [[row.defense, *(cells[i] for _, cells in columns)] for i, row in enumerate(rows)]
    title = f"{board.title}: accuracy (%), gray-box where no threat is named"
    return pieces(Table(title, headers, body), width)


def brief(table: Table) -> Table:
    """Return a table with point estimates only: their intervals left out."""
    rows = [[re.sub(r"^([\d.]+) \[.*\]$", r"\1", cell) for cell in row] for row in table.rows]
    return replace(table, rows=rows, note="")


def pieces(table: Table, width: int) -> list[Table]:
    """Cut a table into as many of ``width`` characters as it takes; each repeats the columns of words."""
    words = table.words
    columns = [[header, *(row[i] for row in table.rows)] for i, header in enumerate(table.headers)]
    named = (max(map(len, column[1:]), default=0) for column in columns[:words])
    room = width - sum(min(width // (1 + words), longest) + 4 for longest in named)
    found: list[Table] = []
    title, rest = table.title, columns[words:]
    while rest:
        taken, left = 0, room
        while taken < len(rest) and (taken == 0 or left >= _width(rest[taken])):
            left -= _width(rest[taken])
            taken += 1
        shown = [*columns[:words], *rest[:taken]]
        headers, *rows = ([column[i] for column in shown] for i in range(1 + len(table.rows)))
        found.append(Table(title, headers, rows, words=words))
        rest, title = rest[taken:], ""
    return found


def _width(column: list[str]) -> int:
    return max(5, *(len(line) for cell in column for line in cell.splitlines())) + 3
