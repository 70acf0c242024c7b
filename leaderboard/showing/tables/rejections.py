"""What the defenses that detect attacks refuse to pass on."""

from __future__ import annotations

from purification_bench.leaderboard.judging.aggregate import accuracy
from purification_bench.leaderboard.judging.boards import Board, Column, Row
from purification_bench.leaderboard.results.sizes import in_words
from purification_bench.leaderboard.showing import threats
from purification_bench.leaderboard.showing.names import row_name
from purification_bench.leaderboard.showing.table import Table, figures, words
from purification_bench.leaderboard.showing.tables.counts import image_counts
from purification_bench.leaderboard.showing.values import Share, Value, known, text

NOTE = (
    "Some defenses refuse images that look attacked. A rejected image is not right, attacked or clean: all other "
    "figures count it as wrong. Here is how many were rejected; what is neither rejected nor right was answered wrong. "
    "Attackers see the purifier and the classifier, not the detector. Even noise may be refused, which counts as "
    "broken, so the audit does not compare the attacks on such a row with each other."
)


def rejections(board: Board) -> Table | None:
    """Return what was rejected, clean and under each attack at the mark; None where no defense rejects."""
    columns = board.candidates(board.mark, *threats.judging(board))
    rows = [
        _row(board, row, column)
        for row in board.rows.values()
        for column in columns
        if column in row.cells and "rejected_share" in row.cells[column].probes
    ]
    headings = [*words("defense", "attack"), *figures("rejected, clean", "rejected", "right", "n")]
    return Table(f"Rejected images at {in_words(board.mark)}", headings, rows, text(NOTE)) if rows else None


def _row(board: Board, row: Row, column: Column) -> list[Value]:
    result = row.cells[column]
    attack, *threat = threats.named(column.attack, column.threat)
    return [
        row_name(board, row),
        text(attack, *(f" ({word})" for word in threat)),
        Share(float(result.probes["rejected_clean_share"])),
        Share(float(result.probes["rejected_share"])),
        known(accuracy(result)),
        image_counts([result]),
    ]
