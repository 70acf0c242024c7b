"""What attackers who see the purifiers left, and how they went about it."""

from __future__ import annotations

from purification_bench.leaderboard.judging.aggregate import robust_accuracy
from purification_bench.leaderboard.judging.boards import Board, Column, Row
from purification_bench.leaderboard.results.result import Result
from purification_bench.leaderboard.showing import threats
from purification_bench.leaderboard.showing.names import row_name
from purification_bench.leaderboard.showing.table import Table, figures, words
from purification_bench.leaderboard.showing.tables.counts import image_counts, span
from purification_bench.leaderboard.showing.values import (
    Missing,
    Name,
    Size,
    Term,
    Value,
    known,
    listing,
    text,
)
from purification_bench.leaderboard.showing.wording import MISSING

NO_GRADIENT = "it declares no gradient"
WORST_CASE_NOTE = text(
    "Right on the clean image and under every attack of that size and threat; ",
    Term("headline"),
    ": under all of "
    "them, and those of smaller size (chosen on one set of draws and read from another, so of a stochastic defense it "
    f"can lie above one threat's column, by chance). {MISSING}: the threat has nothing to attack there, or was not "
    "run. Each column is over the images of its own attacks; ",
    Term("n"),
    " says how few and how many.",
)
HOW_NOTE = text(
    "What is attacked may be a cheaper form of the defense or, under transfer, another classifier; what is judged is "
    "the defense itself. ",
    Term("Draws"),
    ": what a loss gradient is averaged over; under blackbox, the logits of one answer.",
)


def by_threat(board: Board) -> Table | None:
    """Worst case under each threat, and the headline, at each size that has one; None where nobody sees a purifier."""
    sizes = sorted({eps for row in board.rows.values() for eps in board.adaptive_sizes(row)})
    rows = [
        _worst_cases(board, row, eps)
        for eps in sizes
        for row in board.rows.values()
        if eps in board.adaptive_sizes(row)
    ]
    headings = [
        *words("defense"),
        *figures("eps", *(threat.word for threat in threats.judging(board)), "headline", "n"),
    ]
    return Table("Worst case by threat", headings, rows, WORST_CASE_NOTE) if rows else None


def _worst_cases(board: Board, row: Row, eps: float) -> list[Value]:
    each = [[c for c in board.candidates(eps, threat) if c in row.cells] for threat in threats.judging(board)]
    together = board.headline(row, eps)
    alone = [[] if any(row.cells[column].partial for column in columns) else columns for columns in each]
    worst = [known(robust_accuracy(row, columns)) for columns in (*alone, together)]
    return [row_name(board, row), Size(eps), *worst, image_counts(row.cells.get(column) for column in together)]


def how(board: Board) -> Table | None:
    """How the attackers went about it who see the purifier; None where there is none."""
    rows: list[list[Value]] = []
    for row in board.rows.values():
        attacked = any(not column.threat.is_baseline for column in row.cells)
        for threat in board.threats:
            if threat.gradient == "true" and attacked and not row.fits(threat.asks):
                nothing = [Missing(NO_GRADIENT) for _ in range(4)]
                rows.append([row_name(board, row), text(threat.word), text(f"none: {NO_GRADIENT}"), *nothing])
            cells = {column: r for column, r in row.cells.items() if column.threat == threat and r.ok}
            if cells and not threat.is_baseline:
                rows.append([row_name(board, row), text(threat.word), *_means(cells)])
    headings = [*words("defense", "threat", "attacks", "attacked as"), *figures("draws", "queries an image", "n")]
    return Table("How they were attacked", headings, rows, HOW_NOTE) if rows else None


def _means(cells: dict[Column, Result]) -> list[Value]:
    """Return what was run under one threat, against what, and with how much."""
    described = [result.identity["attack"] for result in cells.values()]
    stand_ins = {each.get("stand_in") or each.get("substitute", {}).get("label") for each in described} - {None}
    draws = [int(each.get("eot_samples", 1)) for each in described]
    queries = [r.probes["queries_per_image"] for r in cells.values() if "queries_per_image" in r.probes]
    return [
        listing(text(attack) for attack in dict.fromkeys(column.attack for column in cells)),
        listing(map(Name, sorted(stand_ins))) if stand_ins else text("itself"),
        span(draws),
        span([round(float(count)) for count in queries]),
        image_counts(cells.values()),
    ]
