"""Table 3: the defenses under FGSM .60, and what they cost."""

from __future__ import annotations

from purification_bench.leaderboard.judging.aggregate import accuracy
from purification_bench.leaderboard.judging.boards import Row
from purification_bench.leaderboard.mandal2023.cells import (
    LATENCY,
    ONE_STEP,
    beside,
    clean_accuracy,
    published_share,
    timed,
)
from purification_bench.leaderboard.mandal2023.measured import UNDEFENDED, Measured, rows_beside
from purification_bench.leaderboard.mandal2023.published import Published, of_table
from purification_bench.leaderboard.showing.table import Table, figures, words
from purification_bench.leaderboard.showing.tables.counts import image_counts
from purification_bench.leaderboard.showing.values import Name, Number, Term, Value, known, text

ROWS = {"defensegan": "Defense-GAN", "puvae": "PuVAE", "cae": "CAE", UNDEFENDED: "no attack"}
"""What the table calls its rows."""
HALF_SIZE = 0.3
"""The attack where its size .60 is meant for images in [-1, 1]."""
SETTINGS = (
    "A method has a row for each of its settings. Defense-GAN: 25 steps of descent, as elsewhere in this benchmark; "
    "200 from codes of deviation .0884, the published search; 10, which follow the attacked image less closely. PuVAE: "
    "its code at the scale that training chose; at .5, which follows the image less closely, and at 1. CAE: the "
    "released code's setting, and one with a longer, less noisy code."
)
NOTE = text(
    "FGSM of size .60. ",
    Term(f"At {HALF_SIZE:g}"),
    ": the same attack at half the size, which is what .60 is where images are in [-1, 1]. ",
    Term("Clean"),
    ": accuracy on the same images, clean. ",
    *LATENCY,
    f" {SETTINGS} ",
    ONE_STEP.removeprefix("* "),
)


def table_3(measured: Measured) -> list[Table]:
    """Set the table's numbers beside every setting of each method; empty where no defense was attacked."""
    rows: list[list[Value]] = []
    attacked = False
    for number in of_table("3"):
        for label, row in rows_beside(measured.board(number.dataset), number).items():
            values = _row(measured, number, label, row)
            rows += [values] if values else []
            attacked |= bool(values) and number.defense != UNDEFENDED
    headings = [
        *words("row", "defense"),
        *figures("published", "measured", "difference", f"at {HALF_SIZE:g}", "clean", "published s", "p50 s"),
        *words("timed on"),
        *figures("n"),
    ]
    return [Table("mnist", headings, rows, NOTE)] if attacked else []


def _row(measured: Measured, number: Published, label: str, row: Row) -> list[Value]:
    """Set one number beside one row; empty where that was not run."""
    result = measured.cell(number.dataset, label, number.attack, number.eps)
    half = measured.cell(number.dataset, label, number.attack, HALF_SIZE) if number.eps else None
    share = accuracy(result)
    if result is None or share is None:
        return []
    shares = [published_share(number), *beside(number, share), known(accuracy(half)), clean_accuracy(result)]
    seconds = [_published_seconds(number.defense), *timed(row)]
    return [text(ROWS[number.defense]), Name(label), *shares, *seconds, image_counts([result, half])]


def _published_seconds(defense: str) -> Value:
    latencies = {number.defense: number.value for number in of_table("3", "latency_seconds")}
    return known(Number(latencies[defense], "s") if defense in latencies else None)
