"""Accuracy of a board's rows: under one attack, under all gray-box ones together, and all of it at a glance."""

from __future__ import annotations

from purification_bench.leaderboard.judging.aggregate import accuracy, robust_accuracy, standing
from purification_bench.leaderboard.judging.boards import Board, Column, Row
from purification_bench.leaderboard.results.declared import Threat
from purification_bench.leaderboard.results.sizes import in_words
from purification_bench.leaderboard.showing import threats
from purification_bench.leaderboard.showing.names import row_name
from purification_bench.leaderboard.showing.table import Heading, Table, figures, words
from purification_bench.leaderboard.showing.tables.cost import end_to_end
from purification_bench.leaderboard.showing.tables.counts import image_counts
from purification_bench.leaderboard.showing.values import (
    UNSAID,
    Failed,
    Missing,
    Size,
    Stacked,
    Value,
    known,
    text,
)

ONE_STEP_LIMIT = 0.5
"""From here on one grey image defeats every classifier, and one-step accuracy bounds nothing."""
NORMS = {"linf": "Linf", "l2": "L2", "l0": "L0"}
ONE_STEP = (
    "* From eps .5 on one grey image stands for every class, so no defense can be robust there; accuracy under a "
    "one-step attack at such a size bounds nothing. Shown because the seed paper reports it."
)


def by_size(board: Board, attack: str, threat: Threat | None = None) -> Table:
    """Accuracy of each defense under one attack, a column a size; the rows left out that it has nothing to attack."""
    columns = board.sizes(attack, threat)
    sizes = [linf_size(column.eps) if column.norm == "linf" else Size(column.eps) for column in columns]
    rows: list[list[Value]] = []
    for row in board.rows.values():
        cells = [_cell(row, column) for column in columns]
        if columns[0].threat.is_baseline or not all(isinstance(cell, Missing) for cell in cells):
            n = image_counts(row.cells.get(column) for column in columns)
            rows.append([row_name(board, row), known(accuracy(row.clean)), *cells, n])
    note = text(ONE_STEP) if any(size.marked for size in sizes) else UNSAID
    headings = [*words("defense"), *figures("clean", *sizes, "n")]
    return Table(f"Accuracy under {attack} ({NORMS[columns[0].norm]}, {columns[0].threat.word})", headings, rows, note)


def linf_size(eps: float) -> Size:
    """Return a size, marked where one step bounds nothing."""
    return Size(eps, eps >= ONE_STEP_LIMIT)


def worst_case(board: Board) -> Table:
    """Per-image worst case of each defense at each size that met every gray-box attack of the mark's."""
    wanted = {column.attack for column in board.candidates(board.mark)}
    tried = sorted({c.eps for c in board.columns if c.norm == "linf" and c.threat.is_baseline})
    sizes = [eps for eps in tried if wanted <= {column.attack for column in board.candidates(eps)}]
    rows = []
    for row in board.rows.values():
        estimates = [known(robust_accuracy(row, board.candidates(eps))) for eps in sizes]
        n = image_counts(row.cells.get(column) for eps in sizes for column in board.candidates(eps))
        rows.append([row_name(board, row), *estimates, n])
    over = "; ".join(f"{in_words(eps)}: {', '.join(c.attack for c in board.candidates(eps))}" for eps in sizes)
    note = text(f"Right on the clean image and under every attack at that size ({over}).")
    return Table("Gray-box per-image worst case", [*words("defense"), *figures(*map(Size, sizes), "n")], rows, note)


def overview(board: Board) -> Table:
    """Clean accuracy, that under every attack at every size, both worst cases, and the cost: all of it in one table."""
    headings = [*words("defense"), *figures("clean"), *(_heading(column) for column in board.columns)]
    headings += figures(Stacked((text("claimed"), Size(board.mark))))
    headings += figures(Stacked((text("robust"), Size(board.mark)))) if board.adaptive else []
    headings += figures(Stacked((text("p50"), text("ms"))))
    rows = []
    for row in board.rows.values():
        at = standing(board, row, board.mark)
        worst = [known(at.claimed), *([known(at.robust)] if board.adaptive else [])]
        cells = [known(accuracy(row.cells.get(column))) for column in board.columns]
        rows.append([row_name(board, row), known(at.clean), *cells, *worst, end_to_end(row)[0]])
    return Table(f"{board.title}: accuracy (%), gray-box where no threat is named", headings, rows)


def _heading(column: Column) -> Heading:
    named = (text(word) for word in threats.named(column.attack, column.threat))
    (heading,) = figures(Stacked((*named, Size(column.eps))))
    return heading


def _cell(row: Row, column: Column) -> Value:
    result = row.cells.get(column)
    return Failed(result.reason) if result is not None and not result.ok else known(accuracy(result))
