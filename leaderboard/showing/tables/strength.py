"""Which attack leaves how much of each row, and what that took."""

from __future__ import annotations

from purification_bench.leaderboard.judging.boards import Board
from purification_bench.leaderboard.judging.strength import Effort, efforts
from purification_bench.leaderboard.results.sizes import in_words
from purification_bench.leaderboard.showing import threats
from purification_bench.leaderboard.showing.names import row_name
from purification_bench.leaderboard.showing.table import Table, figures, words
from purification_bench.leaderboard.showing.tables.counts import image_counts
from purification_bench.leaderboard.showing.values import Count, Number, Value, known, text

NOTE = text(
    "The strongest first, each on the images that it met. An attack on a random defense pays each gradient once for "
    "every draw that it averages over. Where an attack met fewer images than the row has, what it leaves of them says "
    "more than the row's headline, in which it counts for those alone."
)


def by_strength(board: Board) -> Table | None:
    """Return what each attack leaves of each row at the mark; None where nobody sees a purifier."""
    if not board.adaptive:
        return None
    rows = [
        [row_name(board, row), *_row(effort)]
        for row in board.rows.values()
        for effort in efforts(board, row)
        if not effort.column.traits.control
    ]
    headings = [
        *words("defense", "attack"),
        *figures("leaves", "gradients an image", "queries an image", "seconds an image", "n"),
    ]
    return Table(f"Attacks by strength at {in_words(board.mark)}", headings, rows, NOTE) if rows else None


def _row(effort: Effort) -> list[Value]:
    attack, *threat = threats.named(effort.column.attack, effort.column.threat)
    return [
        text(attack, *(f" ({word})" for word in threat)),
        effort.left,
        known(None if effort.gradients is None else Count(effort.gradients)),
        known(None if effort.queries is None else Count(effort.queries)),
        Number(effort.seconds, "s"),
        image_counts([effort.result]),
    ]
