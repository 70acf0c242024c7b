"""Table 2: the auto-encoders, each under the attack that it was trained on."""

from __future__ import annotations

from purification_bench.leaderboard.judging.aggregate import accuracy
from purification_bench.leaderboard.mandal2023.cells import ONE_STEP, beside, clean_accuracy, published_share
from purification_bench.leaderboard.mandal2023.measured import Measured, rows_beside
from purification_bench.leaderboard.mandal2023.published import Published, of_table
from purification_bench.leaderboard.showing.table import Table, figures, words
from purification_bench.leaderboard.showing.tables.accuracies import linf_size
from purification_bench.leaderboard.showing.tables.counts import image_counts
from purification_bench.leaderboard.showing.values import Attacked, Name, Term, Value, text

NOTE = text(
    "The released code's setting is a code of length 10 under noise of deviation 1; the other auto-encoder has a "
    "longer, less noisy one, and is set against the same published figure. The published figures of the classifier "
    "alone are Table 1's. ",
    Term("Clean"),
    f": accuracy on the same images, clean, which the paper does not give. {ONE_STEP}",
)


def table_2(measured: Measured) -> list[Table]:
    """Set the table's numbers beside every auto-encoder of the attack; empty where none was run."""
    rows = [
        row
        for number in of_table("2")
        for label in rows_beside(measured.board(number.dataset), number)
        if (row := _row(measured, number, label))
    ]
    headings = [
        *words("attack", "dataset", "defense"),
        *figures("published", "measured", "difference", "clean", "n"),
    ]
    return [Table("standard protocol", headings, rows, NOTE)] if rows else []


def _row(measured: Measured, number: Published, label: str) -> list[Value]:
    """Set one number beside one row; empty where that was not run."""
    result = measured.cell(number.dataset, label, number.attack, number.eps)
    attacked = accuracy(result)
    if result is None or attacked is None:
        return []
    place: list[Value] = [Attacked(number.attack, linf_size(number.eps)), text(number.dataset), Name(label)]
    shares = [published_share(number), *beside(number, attacked), clean_accuracy(result)]
    return [*place, *shares, image_counts([result])]
