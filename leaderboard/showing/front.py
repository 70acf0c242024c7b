"""The picture of what is left under attack, against what an image costs."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter

from purification_bench.leaderboard.judging.boards import Board
from purification_bench.leaderboard.judging.front import Point, front, measured
from purification_bench.leaderboard.results.sizes import in_words
from purification_bench.leaderboard.showing.curves import MARKERS, PALETTE, save_figure
from purification_bench.leaderboard.showing.names import of_board
from purification_bench.leaderboard.showing.pictures import Picture, in_percent

FRONT = "no other is as fast and keeps as much"

CROSSES = "x+1"


def pareto(board: Board, folder: Path, stem: str) -> Path | None:
    """Write what ``draw_pareto`` draws as SVG and PNG; return the PNG's path, None where there is nothing to draw."""
    figure = draw_pareto(board)
    return None if figure is None else save_figure(figure, folder, stem)


def draw_pareto(board: Board) -> Figure | None:
    """Draw each row's robust accuracy against its time an image, and a line through the ranked ones in front.

    None where fewer than two rows were timed and have a headline.
    """
    points = measured(board)
    if len(points) < 2:
        return None
    figure = Picture(figsize=(7.0, 0.9 + 0.26 * max(9, len(points))), layout="constrained")
    panel = figure.subplots()
    best = front(points)
    if best:
        times, left = [point.milliseconds for point in best], [100 * point.robust.value for point in best]
        panel.step(times, left, where="post", color="0.6", linewidth=1, linestyle="--", zorder=1, label=FRONT)
    for k, point in enumerate(points):
        _draw(panel, point, k, of_board(board)[point.defense], filled=point in best)
    panel.set_xscale("log")
    panel.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    panel.set_xlabel(f"ms an image, purified and classified, on {points[0].device}")
    panel.set_ylabel("robust (%)")
    in_percent(panel)
    figure.legend(loc="outside right center", frameon=False, fontsize=8)
    figure.suptitle(f"{board.title}, at {in_words(board.mark)}: what is left, and what it costs", fontsize=10)
    return figure


def _draw(panel: Axes, point: Point, place: int, name: str, *, filled: bool) -> None:
    value, low, high = (100 * getattr(point.robust, part) for part in ("value", "low", "high"))
    colour, markers = PALETTE[place % len(PALETTE)], MARKERS if point.stands else CROSSES
    panel.errorbar(
        point.milliseconds,
        value,
        [[value - low], [high - value]],
        color=colour,
        marker=markers[place // len(PALETTE) % len(markers)],
        markerfacecolor=colour if filled else "white",
        markersize=6,
        linestyle="none",
        linewidth=1,
        clip_on=False,
        label=name,
    )
