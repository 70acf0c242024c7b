"""Table 1: FGSM and PGD on the classifier alone, under the standard protocol and the released code's."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from purification_bench.leaderboard.judging.aggregate import accuracy
from purification_bench.leaderboard.mandal2023.cells import beside, one_step_note, published_share
from purification_bench.leaderboard.mandal2023.measured import CLASSIFIER, DATASETS, RELEASED, UNDEFENDED, Measured
from purification_bench.leaderboard.mandal2023.published import Published, of_table
from purification_bench.leaderboard.results.result import Result
from purification_bench.leaderboard.showing.table import Table, figures, words
from purification_bench.leaderboard.showing.tables.accuracies import linf_size
from purification_bench.leaderboard.showing.tables.counts import image_counts
from purification_bench.leaderboard.showing.values import Value, known, spaced, text

QUIRKS = {"as-released-eval": "eval mode"}
"""Protocols that differ from the released code's in one thing, and in what."""


def table_1(table: str, attack: str, released: str) -> Callable[[Measured], list[Table]]:
    """Return what makes one half of the table; ``released``: the attack as the released code has it."""
    numbers = of_table(table)

    def make(measured: Measured) -> list[Table]:
        each = [_undefended(measured, numbers, dataset, attack, released) for dataset in DATASETS]
        each += [_ablation(measured, numbers, dataset, released) for dataset in DATASETS]
        return [made for made in each if made is not None]

    return make


def _undefended(
    measured: Measured, numbers: Sequence[Published], dataset: str, attack: str, released: str
) -> Table | None:
    """Set one dataset's column beside both protocols; None where neither was run."""
    rows: list[list[Value]] = []
    any_attacked = False
    for number in (number for number in numbers if number.dataset == dataset):
        both = [
            measured.cell(dataset, UNDEFENDED, attack, number.eps),
            measured.cell(dataset, UNDEFENDED, released, number.eps, RELEASED),
        ]
        any_attacked |= any(result is not None and result.attack is not None for result in both)
        cells = [value for r in both for value in (*beside(number, accuracy(r)), image_counts([r]))]
        rows.append([linf_size(number.eps), published_share(number), *cells])
    board = measured.board(dataset, RELEASED)
    apart = f"{RELEASED} ({board.classifier})" if board else RELEASED
    protocols = figures(f"standard ({CLASSIFIER})", "difference", "n", apart, "difference", "n")
    note = one_step_note(number.eps for number in numbers)
    return Table(dataset, [*words("eps"), *figures("published"), *protocols], rows, note) if any_attacked else None


def _ablation(measured: Measured, numbers: Sequence[Published], dataset: str, released: str) -> Table | None:
    """Set the released code's figures beside those without one of its quirks; None where no such thing was run."""
    sizes = [number for number in numbers if number.dataset == dataset and number.eps]
    columns = _without_one(measured, sizes, dataset, released)
    if len(columns) < 2:
        return None
    rows = [
        [linf_size(number.eps), published_share(number), *(known(accuracy(r)) for r in results), image_counts(results)]
        for number, *results in zip(sizes, *columns.values(), strict=True)
    ]
    note = spaced([text("One thing changed at a time."), one_step_note(number.eps for number in sizes)])
    headings = [*words("eps"), *figures(f"published, {dataset}", *columns, "n")]
    return Table(f"{dataset}: which of the released code's rules matter", headings, rows, note)


def _without_one(
    measured: Measured, sizes: Sequence[Published], dataset: str, released: str
) -> dict[str, list[Result | None]]:
    """Return the results at each size, by what is changed in the released code's rules."""
    columns: dict[str, list[Result | None]] = {}
    for protocol in (RELEASED, *QUIRKS):
        board = measured.board(dataset, protocol)
        attacks = {column.attack for column in board.rows[UNDEFENDED].cells} if board else set()
        for attack in sorted(attacks, key=lambda label: (label != released, label)):
            if attack.partition("[")[0] == released:
                changed = ", ".join(filter(None, (QUIRKS.get(protocol), *_options(attack))))
                cells = [measured.cell(dataset, UNDEFENDED, attack, number.eps, protocol) for number in sizes]
                columns[changed or RELEASED] = cells
    return columns


def _options(attack: str) -> list[str]:
    """Return the options that an attack's label names."""
    options = attack.partition("[")[2].rstrip("]")
    return options.split(",") if options else []
