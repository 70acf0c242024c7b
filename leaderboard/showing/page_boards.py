"""A board's section of the leaderboard's page."""

from __future__ import annotations

from collections.abc import Sequence

from purification_bench.leaderboard.judging.boards import Board
from purification_bench.leaderboard.results.result import STANDARD
from purification_bench.leaderboard.showing import markdown
from purification_bench.leaderboard.showing.table import Table
from purification_bench.leaderboard.showing.tables import (
    accuracies,
    attackers,
    audits,
    comparisons,
    cost,
    origin,
    standings,
    stochastic,
)
from purification_bench.leaderboard.showing.values import Name, text


def board_section(board: Board, pictures: Sequence[tuple[str, str]]) -> str:
    """Return everything that there is to say of a board; ``pictures``: caption and path of each."""
    parts = _ranked(board, pictures) if board.protocol == STANDARD else _apart(board)
    tables = [*_accuracies(board), origin.settings(board), origin.provenance(board)]
    return "\n\n".join([*parts, *map(markdown.render, tables)])


def _ranked(board: Board, pictures: Sequence[tuple[str, str]]) -> list[str]:
    """Return what stands before the tables of accuracies where rows are compared."""
    seen = [attackers.by_threat(board), attackers.how(board), audits.verdicts(board), audits.checks(board)]
    return [
        markdown.render(standings.summary(board), level=2),
        *(markdown.picture(caption, path) for caption, path in pictures),
        *(markdown.render(table) for table in seen if table),
    ]


def _apart(board: Board) -> list[str]:
    """Return what stands there under another protocol, whose rows are not compared."""
    rules = text(
        "Attacked and judged under the rules of ",
        Name(f"--protocol {board.protocol}"),
        ": these rows enter no worst case, no rank and no audit.",
    )
    return [markdown.heading(board.title, level=2), markdown.prose(rules)]


def _accuracies(board: Board) -> list[Table]:
    each = [accuracies.by_size(board, attack, threat) for attack, threat in board.attacks]
    if board.protocol != STANDARD:
        return each
    worst = [accuracies.worst_case(board)] if any(column.norm == "linf" for column in board.columns) else []
    optional = (stochastic.draws(board), comparisons.comparisons(board), cost.latency(board))
    return [*worst, *each, *(table for table in optional if table)]
