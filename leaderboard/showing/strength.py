"""The picture of what attacks leave, against what they cost."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, LogLocator, NullLocator, StrMethodFormatter

from purification_bench.leaderboard.judging.aggregate import standing
from purification_bench.leaderboard.judging.boards import Board, Row
from purification_bench.leaderboard.judging.strength import by_kind
from purification_bench.leaderboard.results.sizes import in_words
from purification_bench.leaderboard.showing import threats
from purification_bench.leaderboard.showing.curves import GAP_PANELS, MARKERS, PALETTE, save_figure
from purification_bench.leaderboard.showing.names import of_board
from purification_bench.leaderboard.showing.pictures import Picture, in_percent, wrapped

TOGETHER = "all attacks together"
DECADE = 10
"""Costs closer than this are told one by one: powers of ten are too far apart."""


def strength(board: Board, folder: Path, stem: str) -> Path | None:
    """Write what ``draw_strength`` draws as SVG and PNG; return the PNG's path, None where there is nothing to draw."""
    figure = draw_strength(board)
    return None if figure is None else save_figure(figure, folder, stem)


def draw_strength(board: Board) -> Figure | None:
    """Draw, one panel a defense, what attacks of one kind leave, against the gradients that an image took.

    None where no kind of attack came at several costs.
    """
    rows = [row for row in board.rows.values() if by_kind(board, row)]
    if not rows:
        return None
    across = min(GAP_PANELS, len(rows))
    down = -(-len(rows) // across)
    figure = Picture(figsize=(1.2 + 2.3 * across, 1.0 + 2.3 * down), layout="constrained")
    panels = figure.subplots(down, across, sharey=True, squeeze=False).flatten()
    kinds = list(dict.fromkeys(kind for row in rows for kind in by_kind(board, row)))
    for panel, row in zip(panels, rows, strict=False):
        _panel(panel, board, row, [" ".join(threats.named(*kind)) for kind in kinds])
    for panel in panels[len(rows) :]:
        panel.set_visible(False)
    for panel in panels[::across]:
        panel.set_ylabel("left right (%)")
    drawn = dict(each for panel in panels for each in zip(*reversed(panel.get_legend_handles_labels()), strict=True))
    figure.legend(drawn.values(), drawn.keys(), loc="outside lower center", ncols=min(4, across + 1), frameon=False)
    break_at = "\n" if across < GAP_PANELS - 1 else " "  # a title as wide as two panels is cut off
    place = f"{board.title}, at {in_words(board.mark)}:"
    figure.suptitle(f"{place}{break_at}what attacks leave, and what they cost", fontsize=10)
    return figure


def _panel(panel: Axes, board: Board, row: Row, names: list[str]) -> None:
    told: set[int] = set()
    for kind, efforts in by_kind(board, row).items():
        name = " ".join(threats.named(*kind))
        place = names.index(name)
        costs = [effort.gradients or 1 for effort in efforts]
        told.update(costs)
        left = [100 * effort.left.value for effort in efforts]
        colour, marker = PALETTE[place % len(PALETTE)], MARKERS[place % len(MARKERS)]
        panel.plot(costs, left, "-", label=name, marker=marker, markersize=4, color=colour, linewidth=1.4)
    worst = standing(board, row, board.mark).robust
    if worst is not None:
        panel.axhline(100 * worst.value, color="0.5", linewidth=1, linestyle="--", label=TOGETHER)
    panel.set_xscale("log")
    narrow = max(told) < DECADE * min(told)
    panel.xaxis.set_major_locator(FixedLocator(sorted(told)) if narrow else LogLocator(subs=(1, 3)))
    panel.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    panel.xaxis.set_minor_locator(NullLocator())
    panel.set_title(wrapped(of_board(board)[row.defense]), fontsize=10)
    panel.set_xlabel("gradients an image")
    in_percent(panel)
