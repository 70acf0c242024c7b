"""Not in the paper: every auto-encoder under every attack of the paper's, and under controls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from purification_bench.leaderboard.judging.boards import Board, Row
from purification_bench.leaderboard.judging.statistics import Means, estimate
from purification_bench.leaderboard.mandal2023.cells import LATENCY, one_step_note, timed
from purification_bench.leaderboard.mandal2023.measured import (
    DATASETS,
    UNDEFENDED,
    Measured,
    graybox_cells,
    method,
)
from purification_bench.leaderboard.showing.table import Table, figures, words
from purification_bench.leaderboard.showing.tables.accuracies import linf_size
from purification_bench.leaderboard.showing.values import UNSAID, Counts, Name, Value, spaced, text

METHODS = (UNDEFENDED, "cae", "cae_multi")
PAPERS = ("fgsm", "pgd")
"""The paper's attacks; any other column is a control."""
LARGEST_TRAINED = 0.6
"""The largest size that an auto-encoder was trained on."""
CONTROLS = {
    "fgsm_predicted": "FGSM away from the label the classifier predicts: the pattern leaks nothing of the true one.",
    "grey": "Every pixel moves towards mid-grey, which needs no gradient: from eps .5 on one image is left.",
}


@dataclass(frozen=True)
class Matrix:
    """Each image's share of right draws, row by row: on clean images, then under each attack that all rows met."""

    board: Board
    attacks: Sequence[tuple[str, float]]
    """Name and size of each column after the clean one, in order."""
    means: Mapping[str, Sequence[Means]]
    """By the row's label, one array for each column, all over the same images."""

    @property
    def n(self) -> int:
        """Number of images."""
        return len(next(iter(self.means.values()))[0])

    def of_attack(self, name: str) -> list[int]:
        """Return which columns are one attack's."""
        return [index for index, (attack, _) in enumerate(self.attacks, start=1) if attack == name]


def matrix(measured: Measured) -> list[Table]:
    """Return, for each dataset, a table of mean and worst column, and one for each attack."""
    made = []
    for dataset in DATASETS:
        laid_out = _laid_out(measured.board(dataset))
        if laid_out:
            attacks = dict.fromkeys(attack for attack, _ in laid_out.attacks)
            made += [_mean_and_worst(laid_out), *(_under(laid_out, attack) for attack in attacks)]
    return made


def _laid_out(board: Board | None) -> Matrix | None:
    """Return the matrix of a board; None where fewer than two rows have a column in common."""
    rows = {label: row for label, row in board.rows.items() if _belongs(row)} if board else {}
    met = [{place for place, result in graybox_cells(row).items() if result.ok} for row in rows.values()]
    attacks = sorted(set.intersection(*met)) if met else []
    if board is None or len(rows) < 2 or not attacks:
        return None
    means = {label: _means(row, attacks) for label, row in rows.items()}
    n = min(len(column) for row in means.values() for column in row)
    return Matrix(board, attacks, {label: [column[:n] for column in row] for label, row in means.items()})


def _belongs(row: Row) -> bool:
    """Say whether a row is the classifier alone, or an auto-encoder, and was judged on clean images."""
    return method(row) in METHODS and row.clean is not None and row.clean.ok


def _means(row: Row, attacks: Sequence[tuple[str, float]]) -> list[Means]:
    """Return each image's share of right draws, on clean images and under each attack."""
    cells = graybox_cells(row)
    return [*([row.clean.means] if row.clean else []), *(cells[place].means for place in attacks)]


def _under(laid_out: Matrix, attack: str) -> Table:
    """Return the columns of one attack, clean images beside them."""
    columns = laid_out.of_attack(attack)
    sizes = [linf_size(laid_out.attacks[index - 1][1]) for index in columns]
    rows: list[list[Value]] = [
        [Name(label), *(estimate(row[index]) for index in (0, *columns)), Counts(laid_out.n, laid_out.n)]
        for label, row in laid_out.means.items()
    ]
    control = text(CONTROLS[attack]) if attack in CONTROLS else UNSAID
    note = spaced([control, one_step_note(size.eps for size in sizes)])
    return Table(f"{laid_out.board.dataset}: {attack}", [*words("defense"), *figures("clean", *sizes, "n")], rows, note)


def _mean_and_worst(laid_out: Matrix) -> Table:
    counted = [
        index
        for index, (attack, eps) in enumerate(laid_out.attacks, start=1)
        if attack in PAPERS and eps <= LARGEST_TRAINED
    ]
    rows: list[list[Value]] = []
    for label, row in laid_out.means.items():
        over_all = estimate(np.mean([row[index] for index in (0, *counted)], axis=0))
        worst = min((estimate(row[index]) for index in (0, *counted)), key=lambda e: e.value)
        n = Counts(laid_out.n, laid_out.n)
        rows.append([Name(label), over_all, worst, *timed(laid_out.board.rows[label]), n])
    over = ", ".join(f"{attack} {eps:g}" for attack, eps in (laid_out.attacks[index - 1] for index in counted))
    note = text(
        f"Over clean images and {over}: an attacker a column, gray-box. Beyond {LARGEST_TRAINED:g}, the largest size "
        "that an auto-encoder was trained on, columns are shown and not counted; controls neither. The mean's interval "
        "is over images; the worst column's is its own, as if no other had been looked at. ",
        *LATENCY,
    )
    headings = [*words("defense"), *figures("mean", "worst", "p50 s"), *words("timed on"), *figures("n")]
    return Table(f"{laid_out.board.dataset}: mean and worst column", headings, rows, note)
