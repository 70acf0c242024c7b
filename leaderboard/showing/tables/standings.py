"""The head of a board: its rows by rank, with what each is worth and costs."""

from __future__ import annotations

from purification_bench.leaderboard.judging import aggregate, audit
from purification_bench.leaderboard.judging.boards import Board, Row
from purification_bench.leaderboard.showing import threats
from purification_bench.leaderboard.showing.names import shortened
from purification_bench.leaderboard.showing.table import Table, figures, words
from purification_bench.leaderboard.showing.tables.cost import end_to_end
from purification_bench.leaderboard.showing.tables.origin import trained_on
from purification_bench.leaderboard.showing.values import (
    Count,
    Counts,
    Name,
    Points,
    Share,
    Size,
    Term,
    Text,
    Value,
    known,
    listing,
    text,
)
from purification_bench.leaderboard.showing.wording import written

COST = "Latency: purifier and classifier at batch 1; images/s at the batch of the latency table."


def summary(board: Board) -> Table:
    """One line a defense: the headline where an attacker saw the purifier, what is claimed, cost."""
    adaptive, mark = board.adaptive, f"at {board.mark:g}"
    headings = [
        *words("rank", "defense", *(["verdict"] if adaptive else []), "trained on"),
        *figures("clean", *([f"robust {mark}", "area"] if adaptive else []), f"claimed {mark}"),
        *figures(*(["gap"] if adaptive else []), "p50 ms", "p90 ms", "images/s", "n"),
    ]
    rows = [_row(board, rank, row) for rank, row in ranked(board)]
    return Table(board.title, headings, rows, _adaptive_note(board) if adaptive else _claimed_note(board))


def glance(board: Board) -> Table:
    """Return what fits a terminal of 80 columns: what each row is worth and costs, and what the audit makes of it."""
    headings = [*words("rank", "defense"), *figures("clean", "robust", "claimed", "p50 ms", "n"), *words("verdict")]
    names = shortened(board.rows)
    rows = [_glimpse(board, rank, row, names[row.defense]) for rank, row in ranked(board)]
    return Table(f"{board.title}, at {board.mark:g} (%)", headings, rows)


def _glimpse(board: Board, rank: int | None, row: Row, name: str) -> list[Value]:
    at = aggregate.standing(board, row, board.mark)
    clean, claimed = (None if figure is None else Share(figure.value) for figure in (at.clean, at.claimed))
    return [
        known(None if rank is None else Count(rank)),
        text(name.replace("[", " ").replace("]", "").replace(",", ", ")),  # a line may end at each space
        known(clean),
        known(at.robust),
        known(claimed),
        end_to_end(row)[0],
        known(None if at.n is None else Counts(at.n, at.n)),
        text(audit.verdict(board, row)),
    ]


def ranked(board: Board) -> list[tuple[int | None, Row]]:
    """Return the rows with their ranks by the headline.

    Those that have none, or do not stand before the audit, follow without a rank, in the board's order.
    """
    worst = [(aggregate.standing(board, row, board.mark).robust, row) for row in board.rows.values()]
    fit = [(e.value, row) for e, row in worst if e is not None and audit.stands(board, row)]
    placed = sorted(fit, key=lambda pair: -pair[0])
    ranks: list[tuple[int | None, Row]] = [
        (1 + sum(better > value for better, _ in placed), row) for value, row in placed
    ]
    named = {row.defense for _, row in ranks}
    return ranks + [(None, row) for row in board.rows.values() if row.defense not in named]


def _row(board: Board, rank: int | None, row: Row) -> list[Value]:
    at, area = aggregate.standing(board, row, board.mark), aggregate.area(board, row)
    headline: list[Value] = [known(at.robust), known(None if area is None else Share(area))] if board.adaptive else []
    return [
        known(None if rank is None else Count(rank), "no rank"),
        Name(row.defense),
        *([text(audit.verdict(board, row))] if board.adaptive else []),
        trained_on(row.newest),
        known(at.clean),
        *headline,
        known(at.claimed),
        *([known(None if at.gap is None else Points(at.gap))] if board.adaptive else []),
        *end_to_end(row),
        known(None if at.n is None else Counts(at.n, at.n)),
    ]


def _claim(board: Board) -> Text:
    attacks = ", ".join(column.attack for column in board.candidates(board.mark))
    return text(
        Term("Claimed"),
        ": gray-box ",
        Name("robust_accuracy"),
        f" at Linf {board.mark:g}, the per-image worst case "
        f"over the clean image and {attacks or 'no attack'}. The attacker knows the classifier but not the purifier, "
        "so it bounds nothing",
    )


def _claimed_note(board: Board) -> Text:
    ranking = f": rows are ranked by attacks that see the purifier, and none of these does. {COST}"
    return text(*_claim(board).parts, ranking)


def _adaptive_note(board: Board) -> Text:
    others = ", ".join(threat.word for threat in threats.beyond_baseline(board))
    sizes = {eps for row in board.rows.values() for eps in board.adaptive_sizes(row) if eps <= board.mark}
    tried = written(listing(Size(eps) for eps in sorted({0.0, *sizes})))
    return text(
        *_claim(board).parts,
        ". ",
        Term("Robust"),
        ", the headline and the rank: the worst case over those and over "
        f"every attack of {others}, at this size or, where they see the purifier, a smaller one. ",
        Term("Area"),
        f": its mean from 0 to the mark, by trapezoids between {tried}. ",
        Term("Gap"),
        f": claimed less robust, on the same images. The rank is an order; which rows stand, the audit says. {COST}",
    )
