"""Defenses, or stores, compared on the same images."""

from __future__ import annotations

from purification_bench.leaderboard.judging.aggregate import paired
from purification_bench.leaderboard.judging.boards import Board
from purification_bench.leaderboard.judging.differences import Difference, Differences
from purification_bench.leaderboard.judging.statistics import Comparison
from purification_bench.leaderboard.results.sizes import in_words
from purification_bench.leaderboard.showing.names import row_name
from purification_bench.leaderboard.showing.table import Table, figures, words
from purification_bench.leaderboard.showing.values import (
    Count,
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
        rows.append(
            [
                *(row_name(board, board.rows[each]) for each in (pair.first, pair.second)),
                *outcome,
                text(test.test),
                Count(pair.n),
            ]
        )
    headings = [
        *words("first", "second"),
        *figures("points", "better : worse", "p", "p (Holm)"),
        *words("test"),
        *figures("n"),
    ]
    what = "headline" if board.adaptive else "gray-box worst case"
    note = text(f"On the {what} at {in_words(board.mark)}; Holm over the {len(rows)} pairs of this table.")
    return Table("Paired comparison", headings, rows, note) if rows else None


def a_against_b(differences: Differences, first: str = "A", second: str = "B") -> Table:
    """Every cell that two stores, or two defenses, share; what all of them have in common stands in the title."""
    headings = [*words("cell"), *figures("eps", "A", "B", "A - B", "A better : worse", "p (Holm)", "n")]
    note = text(
        f"A: {first}. B: {second}. {len(differences.shared)} shared cells, {differences.unmatched} without a "
        "counterpart; p is of a paired test, Holm-corrected over the shared ones."
    )
    common = {(each.cell.place, each.cell.seed) for each in differences.shared}
    alike = len(common) == 1
    where = f"{', '.join(next(iter(common))[0])}: " if alike else ""
    rows = [_row(difference, alike) for difference in differences.shared]
    return Table(f"{where}accuracy (%) on the same images", headings, rows, note)


def _row(difference: Difference, alike: bool) -> list[Value]:
    cell, test = difference.cell, difference.comparison
    attack = f"{cell.attack} ({cell.threat})" if cell.threat else cell.attack or "clean"
    where = () if alike else (*cell.place, f"seed {cell.seed}")
    named = text(", ".join(filter(None, (*where, cell.defense, attack))))
    shares = (Share(difference.first), Share(difference.second))
    points, tally = Points(test.difference), Tally(test.wins, test.losses)
    return [named, Size(cell.eps), *shares, points, tally, PValue(difference.adjusted), Count(difference.n)]


def _outcome(test: Comparison, adjusted: float) -> list[Value]:
    tally = Tally(test.wins, test.losses)
    return [Points(test.difference), tally, PValue(test.p_value), PValue(adjusted)]
