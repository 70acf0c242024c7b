"""What draws do to the rows of stochastic defenses."""

from __future__ import annotations

from purification_bench.leaderboard.judging.aggregate import accuracy, votes
from purification_bench.leaderboard.judging.boards import Board, Column, Row
from purification_bench.leaderboard.results.sizes import in_words
from purification_bench.leaderboard.showing import threats
from purification_bench.leaderboard.showing.names import row_name
from purification_bench.leaderboard.showing.table import Table, figures, words
from purification_bench.leaderboard.showing.tables.counts import image_counts
from purification_bench.leaderboard.showing.values import Count, Share, Value, known, text

NOTE = (
    "Who may resubmit an image until one draw fails is held off where every draw is right. Clean images fail some "
    "draws too: the last share is that of the same images without an attack."
)


def draws(board: Board) -> Table | None:
    """Votes and resubmission of the stochastic rows at the mark; None where there is none."""
    columns = board.candidates(board.mark, *threats.judging(board))
    each = [_row(board, row, column) for row in board.rows.values() for column in columns]
    rows = [values for values in each if values]
    headings = [
        *words("defense", "attack"),
        *figures("mean over draws", "majority vote", "every draw right", "every draw right, clean", "draws", "n"),
    ]
    return Table(f"Stochastic defenses at {in_words(board.mark)}", headings, rows, text(NOTE)) if rows else None


def _row(board: Board, row: Row, column: Column) -> list[Value]:
    """Return a cell's figures; none where its defense draws nothing."""
    shares, result = votes(row, column), row.cells.get(column)
    if shares is None or result is None:
        return []
    attack, *threat = threats.named(column.attack, column.threat)
    named = text(attack, *(f" ({word})" for word in threat))
    mean, counted = known(accuracy(result)), Count(int(result.identity["draws"]))
    return [row_name(board, row), named, mean, *map(Share, shares), counted, image_counts([result])]
