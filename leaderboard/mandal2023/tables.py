"""The seed paper's tables with what was measured beside each number (Mandal 2023). Pure functions on boards."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from purification_bench.leaderboard.judging.aggregate import accuracy
from purification_bench.leaderboard.judging.boards import Board, Row
from purification_bench.leaderboard.judging.statistics import Estimate, Means, estimate
from purification_bench.leaderboard.mandal2023 import published as mandal2023
from purification_bench.leaderboard.mandal2023.published import Published
from purification_bench.leaderboard.results.result import STANDARD, Result
from purification_bench.leaderboard.showing import audit_tables
from purification_bench.leaderboard.showing.tables import MISSING, ONE_STEP_LIMIT, Table, image_counts, machine, percent

DATASETS = ("mnist", "fashion_mnist")
CLASSIFIER = "vgg16"
RELEASED = "as-released"
QUIRKS = {"as-released-eval": "eval mode"}
"""Protocols that differ from the released code's in one thing, and in what."""
ROWS = {"defensegan": "Defense-GAN", "puvae": "PuVAE", "cae": "CAE", "none": "no attack"}
"""What Table 3 calls its rows."""

PAPERS = ("fgsm", "pgd")
"""The paper's attacks; any other column is a control."""
LARGEST_TRAINED = 0.6
HALF_SIZE = 0.3
"""Table 3's attack where its size .60 is meant for images in [-1, 1]."""
SETTINGS = (
    "A method has a row for each of its settings. Defense-GAN: 25 steps of descent, as elsewhere in this benchmark; "
    "200 from codes of deviation .0884, the published search; 10, which follow the attacked image less closely. PuVAE: "
    "its code at the scale that training chose; at .5, which follows the image less closely, and at 1. CAE: the "
    "released code's setting, and one with a longer, less noisy code."
)
CONTROLS = {
    "fgsm_predicted": "FGSM away from the label the classifier predicts: the pattern leaks nothing of the true one.",
    "grey": "Every pixel moves towards mid-grey, which needs no gradient: from eps .5 on one image is left.",
}
"""Attacks of the matrix that are not the paper's."""
LATENCY = "*p50 s*, latency: the purifier alone, one image at a time, median."
ONE_STEP = (
    "From eps .5 on one grey image stands for every class: no classifier can be robust there, and accuracy under one "
    "step bounds nothing. Shown because the paper reports it."
)


@dataclass(frozen=True)
class Measured:
    """The boards of a store, looked up as the paper's tables name things."""

    found: Sequence[Board]

    def board(self, dataset: str, protocol: str = STANDARD) -> Board | None:
        """Return the board of a dataset under a protocol: VGG-16's under the standard one."""
        for board in self.found:
            published = board.dataset == dataset and board.classifier == CLASSIFIER
            resized = board.dataset.partition("[")[0] == dataset
            if board.protocol == protocol and (published if protocol == STANDARD else resized):
                return board
        return None

    def cell(self, dataset: str, defense: str, attack: str, eps: float, protocol: str = STANDARD) -> Result | None:
        """Return the gray-box result of an attack (by its label) at a size; on clean images at size 0.

        None where it was not run.
        """
        board = self.board(dataset, protocol)
        row = board.rows.get(defense) if board else None
        if row is None or eps == 0:
            return row.clean if row else None
        return _grayboxes(row).get((attack, eps))


def _table_1(table: str, attack: str, released: str) -> Callable[[Measured], list[Table]]:
    numbers = mandal2023.of_table(table)

    def make(measured: Measured) -> list[Table]:
        beside = [_undefended(measured, numbers, dataset, attack, released) for dataset in DATASETS]
        without = [_ablation(measured, numbers, dataset, released) for dataset in DATASETS]
        return [made for made in (*beside, *without) if made is not None]

    return make


def _undefended(
    measured: Measured, numbers: Sequence[Published], dataset: str, attack: str, released: str
) -> Table | None:
    """Set one dataset's column of Table 1 beside both protocols; None where neither was run."""
    rows, any_found = [], False
    for number in (number for number in numbers if number.dataset == dataset):
        both = [
            measured.cell(dataset, "none", attack, number.eps),
            measured.cell(dataset, "none", released, number.eps, RELEASED),
        ]
        any_found |= any(result is not None and result.attack is not None for result in both)
        cells = [f"{100 * number.value:.2f}"]
        for result in both:
            cells += [*_beside(number, accuracy(result)), image_counts([result])]
        rows.append([_size(number.eps), *cells])
    board = measured.board(dataset, RELEASED)
    apart = f"{RELEASED} ({board.classifier})" if board else RELEASED
    headers = ["eps", "published", f"standard ({CLASSIFIER})", "difference", "n", apart, "difference", "n"]
    return Table(dataset, headers, rows, _marked_note(number.eps for number in numbers), words=1) if any_found else None


def _ablation(measured: Measured, numbers: Sequence[Published], dataset: str, released: str) -> Table | None:
    """Set the released code's figures beside those without one of its quirks; None where no such thing was run."""
    sizes = [number for number in numbers if number.dataset == dataset and number.eps]
    columns: dict[str, list[Result | None]] = {}
    for protocol in (RELEASED, *QUIRKS):
        board = measured.board(dataset, protocol)
        attacks = {column.attack for column in board.rows["none"].cells} if board else set()
        for attack in sorted(attacks, key=lambda label: (label != released, label)):
            if attack.partition("[")[0] == released:
                less = ", ".join(filter(None, (QUIRKS.get(protocol), *_changed(attack))))
                columns[less or RELEASED] = [
                    measured.cell(dataset, "none", attack, number.eps, protocol) for number in sizes
                ]
    if len(columns) < 2:
        return None
    rows = [
        [_size(number.eps), f"{100 * number.value:.2f}", *map(percent, map(accuracy, found)), image_counts(found)]
        for number, *found in zip(sizes, *columns.values(), strict=True)
    ]
    note = f"One thing changed at a time. {_marked_note(number.eps for number in sizes)}".strip()
    headers = ["eps", f"published, {dataset}", *columns, "n"]
    return Table(f"{dataset}: which of the released code's rules matter", headers, rows, note, words=1)


def _changed(attack: str) -> list[str]:
    """Return the options that an attack's label names."""
    options = attack.partition("[")[2].rstrip("]")
    return options.split(",") if options else []


def _table_2(measured: Measured) -> list[Table]:
    rows = []
    for number in mandal2023.of_table("2"):
        for label in _rows_of(measured.board(number.dataset), number):
            result = measured.cell(number.dataset, label, number.attack, number.eps)
            found = accuracy(result)
            if result is None or found is None:
                continue
            rows.append(
                [
                    f"{number.attack} {_size(number.eps)}", number.dataset, f"`{label}`", f"{100 * number.value:.2f}",
                    *_beside(number, found), percent(_clean(result)), image_counts([result]),
                ]
            )  # fmt: skip
    headers = ["attack", "dataset", "defense", "published", "measured", "difference", "clean", "n"]
    note = (
        "The released code's setting is a code of length 10 under noise of deviation 1; the other auto-encoder has a "
        "longer, less noisy one, and is set against the same published figure. The published figures of the classifier "
        "alone are Table 1's. *Clean*: accuracy on the same images, clean, which the paper does not give. "
        f"\\* {ONE_STEP}"
    )
    return [Table("standard protocol", headers, rows, note, words=3)] if rows else []


def _clean(attacked: Result) -> Estimate | None:
    """Return the share of an attacked result's own images that are right when they are clean."""
    return estimate(attacked.clean.means) if attacked.clean is not None else None


def _rows_of(board: Board | None, number: Published) -> dict[str, Row]:
    """Return the rows that a number is set beside: the method's, and of auto-encoders those trained on its attack."""
    return {
        label: row
        for label, row in (board.rows.items() if board else ())
        if _name(row) == number.defense and _options(row).get("against", number.attack) == number.attack
    }


def _table_3(measured: Measured) -> list[Table]:
    latencies = {number.defense: number.value for number in mandal2023.of_table("3", "latency_seconds")}
    rows = []
    for number in mandal2023.of_table("3"):
        for label, row in _rows_of(measured.board(number.dataset), number).items():
            result = measured.cell(number.dataset, label, number.attack, number.eps)
            half = measured.cell(number.dataset, label, number.attack, HALF_SIZE) if number.eps else None
            found = accuracy(result)
            if result is None or found is None:
                continue
            rows.append(
                [
                    ROWS[number.defense], f"`{label}`", f"{100 * number.value:.2f}", *_beside(number, found),
                    percent(accuracy(half)), percent(_clean(result)), _seconds(latencies.get(number.defense)),
                    *_timed(row), image_counts([result, half]),
                ]
            )  # fmt: skip
    headers = [
        "row", "defense", "published", "measured", "difference", f"at {HALF_SIZE:g}", "clean", "published s", "p50 s",
        "timed on", "n",
    ]  # fmt: skip
    note = (
        f"FGSM of size .60. *At {HALF_SIZE:g}*: the same attack at half the size, which is what .60 is where images "
        f"are in [-1, 1]. *Clean*: accuracy on the same images, clean. {LATENCY} {SETTINGS} {ONE_STEP}"
    )
    attacked = any(row[0] != ROWS["none"] for row in rows)
    return [Table("mnist", headers, rows, note, words=2)] if attacked else []


def _timed(row: Row) -> list[str]:
    if row.latency is None or row.latency.latency is None or row.undefended:
        return [MISSING, MISSING]
    return [_seconds(row.latency.latency["single"]["purifier"]["p50_ms"] / 1000), machine(row.latency)]


def _seconds(value: float | None) -> str:
    return MISSING if value is None else f"{value:.3g}"


def _matrix(measured: Measured) -> list[Table]:
    """Return, for each dataset, a table of mean and worst column, and one for each attack."""
    made = []
    for dataset in DATASETS:
        board = measured.board(dataset)
        labels = _auto_encoders(board)
        columns = _shared_columns(board, labels) if board else []
        if board is None or len(labels) < 2 or not columns:
            continue
        found = {label: _matrix_row(board.rows[label], columns) for label in labels}
        n = min(len(means) for row in found.values() for means in row)
        found = {label: [means[:n] for means in row] for label, row in found.items()}
        estimates = {label: [estimate(means) for means in row] for label, row in found.items()}
        made.append(_mean_and_worst(board, columns, found, n))
        for attack in dict.fromkeys(attack for attack, _ in columns):
            mine = [i for i, (name, _) in enumerate(columns, start=1) if name == attack]
            headers = ["defense", "clean", *(_size(columns[i - 1][1]) for i in mine), "n"]
            rows = [
                [f"`{label}`", *(percent(row[i]) for i in (0, *mine)), f"{n:,}"] for label, row in estimates.items()
            ]
            note = f"{CONTROLS.get(attack, '')} {_marked_note(columns[i - 1][1] for i in mine)}".strip()
            made.append(Table(f"{dataset}: {attack}", headers, rows, note))
    return made


def _auto_encoders(board: Board | None) -> list[str]:
    """Return the rows of the matrix: the classifier alone, and the auto-encoders that were judged on clean images."""
    rows = board.rows.items() if board else ()
    wanted = ("none", "cae", "cae_multi")
    return [label for label, row in rows if _name(row) in wanted and row.clean is not None and row.clean.ok]


def _shared_columns(board: Board, labels: Sequence[str]) -> list[tuple[str, float]]:
    """Return the attacks, with their sizes, that every one of the rows met."""
    met = [{place for place, result in _grayboxes(board.rows[label]).items() if result.ok} for label in labels]
    return sorted(set.intersection(*met)) if met else []


def _matrix_row(row: Row, columns: Sequence[tuple[str, float]]) -> list[Means]:
    """Return each image's share of right draws, on clean images and under each attack, of the largest results."""
    cells = _grayboxes(row)
    return [*([row.clean.means] if row.clean else []), *(cells[place].means for place in columns)]


def _mean_and_worst(
    board: Board, columns: Sequence[tuple[str, float]], found: Mapping[str, Sequence[Means]], n: int
) -> Table:
    counted = [0, *(i for i, (name, eps) in enumerate(columns, start=1) if name in PAPERS and eps <= LARGEST_TRAINED)]
    rows = []
    for label, row in found.items():
        over_all = estimate(np.mean([row[i] for i in counted], axis=0))
        worst = min((estimate(row[i]) for i in counted), key=lambda e: e.value)
        rows.append([f"`{label}`", percent(over_all), percent(worst), *_timed(board.rows[label]), f"{n:,}"])
    over = ", ".join(f"{name} {eps:g}" for name, eps in (columns[i - 1] for i in counted[1:]))
    note = (
        f"Over clean images and {over}: an attacker a column, gray-box. Beyond {LARGEST_TRAINED:g}, the largest size "
        "that an auto-encoder was trained on, columns are shown and not counted; controls neither. The mean's interval "
        f"is over images; the worst column's is its own, as if no other had been looked at. {LATENCY}"
    )
    headers = ["defense", "mean", "worst", "p50 s", "timed on", "n"]
    return Table(f"{board.dataset}: mean and worst column", headers, rows, note)


def _size(eps: float) -> str:
    return f"{eps:g}{'*' if eps >= ONE_STEP_LIMIT else ''}"


def _marked_note(sizes: Iterable[float]) -> str:
    return f"\\* {ONE_STEP}" if any(eps >= ONE_STEP_LIMIT for eps in sizes) else ""


def _adaptive(measured: Measured) -> list[Table]:
    made = []
    for dataset in DATASETS:
        board = measured.board(dataset)
        if board is None or not board.adaptive:
            continue
        for table in (audit_tables.by_threat(board), audit_tables.how(board), audit_tables.verdicts(board)):
            if table is not None:
                made.append(replace(table, title=f"{dataset}: {table.title[0].lower()}{table.title[1:]}"))
    return made


TABLES: Mapping[str, Callable[[Measured], list[Table]]] = {
    "1a": _table_1("1a", "fgsm", "fgsm_released"),
    "1b": _table_1("1b", "pgd", "pgd_released"),
    "2": _table_2,
    "3": _table_3,
    "matrix": _matrix,
    "adaptive": _adaptive,
}


def _beside(number: Published, found: Estimate | None) -> list[str]:
    """Return what was measured, and by how many points it differs."""
    return [percent(found), MISSING if found is None else f"{100 * (found.value - number.value):+.1f}"]


def _grayboxes(row: Row) -> dict[tuple[str, float], Result]:
    """Return a row's gray-box results by attack and size."""
    return {(column.attack, column.eps): result for column, result in row.cells.items() if column.threat.is_baseline}


def _name(row: Row) -> str:
    return str(row.newest.identity["defense"]["name"])


def _options(row: Row) -> Mapping[str, object]:
    options: Mapping[str, object] = row.newest.identity["defense"]["options"]
    return options
