"""Defenses, or stores, compared on the same images."""

from __future__ import annotations

from purification_bench.leaderboard.judging.aggregate import paired
from purification_bench.leaderboard.judging.boards import Board
from purification_bench.leaderboard.judging.differences import Difference, Differences
from purification_bench.leaderboard.judging.statistics import Comparison
from purification_bench.leaderboard.showing.table import Table, figures, words
from purification_bench.leaderboard.showing.values import (
    Count,
    Name,
    Points,
    PValue,
    Share,
    Size,
    Tally,
    Value,
    text,
)


def comparisons(board: Board) -> Table | None:
    """Every pair of defenses on the same images; None where fewer than two rows have the worst case at the mark."""
    rows: list[list[Value]] = []
    for pair in paired(board):
        test = pair.comparison
        outcome = _outcome(test, pair.adjusted)
        rows.append([Name(pair.first), Name(pair.second), *outcome, text(test.test), Count(pair.n)])
    headings = [
        *words("first", "second"),
        *figures("points", "better : worse", "p", "p (Holm)"),
        *words("test"),
        *figures("n"),
    ]
    what = "headline" if board.adaptive else "gray-box worst case"
    note = text(f"On the {what} at {board.mark:g}; Holm over the {len(rows)} pairs of this table.")
    return Table("Paired comparison", headings, rows, note) if rows else None


def a_against_b(differences: Differences) -> Table:
    """Every cell that two stores, or two defenses, share."""
    headings = [*words("cell"), *figures("eps", "A", "B", "A - B", "A better : worse", "p", "p (Holm)", "n")]
    note = text(
        f"{len(differences.shared)} shared cells, {differences.unmatched} without a counterpart; Holm over the shared "
        "ones."
    )
    rows = [_row(difference) for difference in differences.shared]
    return Table("A against B: accuracy (%) on the same images", headings, rows, note)


def _row(difference: Difference) -> list[Value]:
    cell, test = difference.cell, difference.comparison
    attack = f"{cell.attack} ({cell.threat})" if cell.attack else "clean"
    named = text(", ".join(filter(None, (*cell.place, f"seed {cell.seed}", cell.defense, attack))))
    shares = (Share(difference.first), Share(difference.second))
    return [named, Size(cell.eps), *shares, *_outcome(test, difference.adjusted), Count(difference.n)]


def _outcome(test: Comparison, adjusted: float) -> list[Value]:
    tally = Tally(test.wins, test.losses)
    return [Points(test.difference), tally, PValue(test.p_value), PValue(adjusted)]
