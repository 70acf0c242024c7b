"""What draws do to the rows of stochastic defenses."""

from __future__ import annotations

from purification_bench.leaderboard.judging.aggregate import votes
from purification_bench.leaderboard.judging.boards import Board, Column, Row
from purification_bench.leaderboard.results.sizes import in_words
from purification_bench.leaderboard.showing import threats
from purification_bench.leaderboard.showing.names import row_name
from purification_bench.leaderboard.showing.table import Table, figures, words
from purification_bench.leaderboard.showing.tables.counts import image_counts
from purification_bench.leaderboard.showing.values import Count, Share, Value, text

NOTE = (
    "All draws of an image, both those that choose the worst attack and those that are reported: the mean of single "
    "draws, which rows are ranked by; a vote, right in more than half of the draws; and every draw right, which holds "
    "off who tries again until one fails. Clean images fail some draws too, so the same stands beside each for the "
    "same images without an attack: a defense that adds noise loses most of the last share to its own noise."
)


def draws(board: Board) -> Table | None:
    """Votes and resubmission of the stochastic rows at the mark; None where there is none."""
    columns = board.candidates(board.mark, *threats.judging(board))
    each = [_row(board, row, column) for row in board.rows.values() for column in columns]
    rows = [values for values in each if values]
    headings = [
        *words("defense", "attack"),
        *figures("mean", "mean, clean", "vote", "vote, clean", "every draw", "every draw, clean", "draws", "n"),
    ]
    return Table(f"Stochastic defenses at {in_words(board.mark)}", headings, rows, text(NOTE)) if rows else None


def _row(board: Board, row: Row, column: Column) -> list[Value]:
    """Return a cell's figures; none where its defense draws nothing."""
    both, result = votes(row, column), row.cells.get(column)
    if both is None or result is None:
        return []
    attacked, clean = both
    attack, *threat = threats.named(column.attack, column.threat)
    named = text(attack, *(f" ({word})" for word in threat))
    shares = [attacked.mean, clean.mean, attacked.vote, clean.vote, attacked.worst, clean.worst]
    counted = Count(2 * int(result.identity["draws"]))
    return [row_name(board, row), named, *map(Share, shares), counted, image_counts([result])]
