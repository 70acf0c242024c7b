"""Robustness curves of a board: accuracy attack by attack, and what is claimed beside what is left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure

from purification_bench.leaderboard.judging.aggregate import accuracy, curve, standing
from purification_bench.leaderboard.judging.boards import Board, Row
from purification_bench.leaderboard.judging.statistics import Estimate
from purification_bench.leaderboard.showing.names import of_board
from purification_bench.leaderboard.showing.pictures import Picture, in_percent, save_png, wrapped

PALETTE = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6D31")
"""Told apart with any colour vision (after Okabe and Ito)."""
MARKERS = "osD^vP*X"
MOST_ROWS = 2 * len(PALETTE)
"""Defenses that are drawn attack by attack; of more, those that most is claimed for."""
GAP_PANELS = 4
"""Panels in a row of the picture of gaps."""
CLAIMED = "claimed: the attacker does not know the purifier"
ROBUST = "robust: all attackers together"

Points = list[tuple[float, Estimate | None]]
"""Estimates by eps."""


@dataclass(frozen=True)
class Line:
    """How a line is drawn, and what it is called."""

    label: str
    colour: str
    marker: str
    style: str


@dataclass(frozen=True)
class Band:
    """The outline of a line's intervals, in its colour."""

    colour: str
    outline: list[tuple[float, float]]


def curves(board: Board, folder: Path, stem: str) -> Path | None:
    """Write what ``draw_curves`` draws as SVG and PNG; return the PNG's path, None where there is nothing to draw."""
    figure = draw_curves(board)
    return None if figure is None else save_figure(figure, folder, stem)


def draw_curves(board: Board) -> Figure | None:
    """Draw gray-box accuracy against eps: one panel an attack, with as many defenses as can be told apart.

    More defenses are drawn below, in panels of their own, up to ``MOST_ROWS``. None where no attack of the board has a
    size to draw against.
    """
    attacks = [
        attack for attack, threat in board.attacks if threat.is_baseline and board.sizes(attack)[0].norm == "linf"
    ]
    if not attacks:
        return None
    groups, names = _groups(_most_claimed(board)), of_board(board)
    legend = 0.6 + 0.09 * max(map(len, names.values()))
    width, height = 0.7 + 2.5 * len(attacks) + legend, 0.9 + 2.1 * len(groups)
    figure = Picture(figsize=(width, height))  # laid out by hand, in inches: an engine draws everything once more
    panels = figure.subplots(len(groups), len(attacks), sharex=True, sharey=True, squeeze=False)
    right = 1 - legend / width
    figure.subplots_adjust(0.7 / width, 0.5 / height, right, 1 - 0.6 / height, wspace=0.12, hspace=0.18)
    for beside, group in zip(panels, groups, strict=True):
        for panel, attack in zip(beside, attacks, strict=True):
            bands = _curves_of(panel, board, attack, group)
            _dress(panel, board, attack if group is groups[0] else "", bands)
            panel.locator_params(nbins=4)
            panel.label_outer(remove_inner_ticks=True)
        beside[0].set_ylabel("accuracy (%)")
        place = beside[-1].get_position()
        corner = (right, (place.y0 + place.y1) / 2)
        figure.legend(*beside[0].get_legend_handles_labels(), loc="center left", bbox_to_anchor=corner, frameon=False)
    figure.suptitle(f"{board.title}: accuracy under attackers who do not know the purifier", fontsize=10)
    return figure


def _most_claimed(board: Board) -> list[Row]:
    """Return the rows that are drawn, in the board's order."""
    rows = list(board.rows.values())
    if len(rows) <= MOST_ROWS:
        return rows
    claimed = {row.defense: standing(board, row, board.mark).claimed for row in rows}
    order = sorted(rows, key=lambda row: -each.value if (each := claimed[row.defense]) else 0.0)
    drawn = {row.defense for row in order[:MOST_ROWS]}
    return [row for row in rows if row.defense in drawn]


def _groups(rows: list[Row]) -> list[list[Row]]:
    """Share rows out evenly, no more together than there are colours."""
    count = -(-len(rows) // len(PALETTE))
    size = -(-len(rows) // count)
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def _curves_of(panel: Axes, board: Board, attack: str, rows: Sequence[Row]) -> list[Band]:
    bands = []
    for index, row in enumerate(rows):
        cells = [(column.eps, accuracy(row.cells.get(column))) for column in board.sizes(attack)]
        points = [(0.0, accuracy(row.clean)), *cells]
        if sum(estimate is not None for _, estimate in points) > 1:
            name = of_board(board)[row.defense]
            bands.append(_draw(panel, points, Line(name, PALETTE[index], MARKERS[index], "-")))
    return bands


def gaps(board: Board, folder: Path, stem: str) -> Path | None:
    """Write what ``draw_gaps`` draws as SVG and PNG; return the PNG's path, None where there is nothing to draw."""
    figure = draw_gaps(board)
    return None if figure is None else save_figure(figure, folder, stem)


def draw_gaps(board: Board) -> Figure | None:
    """Draw, one panel a defense, the worst case that is claimed and the one that attackers leave who see the purifier.

    None where nobody saw one.
    """
    rows = [row for row in board.rows.values() if board.adaptive_sizes(row)]
    if not rows:
        return None
    across = min(GAP_PANELS, len(rows))
    down = -(-len(rows) // across)
    figure = Picture(figsize=(1.2 + 2.3 * across, 0.8 + 2.3 * down), layout="constrained")
    panels = figure.subplots(down, across, sharex=True, sharey=True, squeeze=False).flatten()
    for panel, row in zip(panels, rows, strict=False):
        _gap_panel(panel, board, row)
    for panel in panels[len(rows) :]:
        panel.set_visible(False)
    for panel in panels[::across]:
        panel.set_ylabel("worst case (%)")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2 if across > 2 else 1, frameon=False, fontsize=9)
    figure.suptitle(f"{board.title}: what is claimed, and what is left", fontsize=10)
    return figure


def _gap_panel(panel: Axes, board: Board, row: Row) -> None:
    points = curve(board, row)
    clean = (0.0, points[-1][1].clean)
    claimed = [clean, *((eps, at.claimed) for eps, at in points)]
    robust = [clean, *((eps, at.robust) for eps, at in points)]
    bands = [
        _draw(panel, claimed, Line(CLAIMED, PALETTE[1], "o", "--")),
        _draw(panel, robust, Line(ROBUST, PALETTE[2], "s", "-")),
    ]
    _dress(panel, board, wrapped(of_board(board)[row.defense]), bands)
    panel.tick_params(labelbottom=True)
    panel.locator_params(axis="x", nbins=4)


def _draw(panel: Axes, points: Points, line: Line) -> Band:
    """Draw estimates against eps, those that there are; return the band of their intervals."""
    there = [(eps, estimate) for eps, estimate in points if estimate is not None]
    eps = [at for at, _ in there]
    values, lows, highs = ([100 * getattr(e, part) for _, e in there] for part in ("value", "low", "high"))
    panel.plot(
        eps, values, line.style, label=line.label, marker=line.marker, markersize=4, color=line.colour, linewidth=1.4
    )
    return Band(line.colour, [*zip(eps, lows, strict=True), *zip(eps[::-1], highs[::-1], strict=True)])


def _dress(panel: Axes, board: Board, title: str, bands: Sequence[Band]) -> None:
    outlines, colours = [band.outline for band in bands], [band.colour for band in bands]
    panel.add_collection(PolyCollection(outlines, facecolors=colours, alpha=0.15, linewidths=0), autolim=False)
    panel.axvline(board.mark, color="0.6", linewidth=0.8, linestyle=":")
    panel.set_title(title, fontsize=10)
    panel.set_xlabel("eps (Linf)")
    panel.set_xlim(left=0)
    in_percent(panel, grid="y")


def save_figure(figure: Figure, folder: Path, stem: str) -> Path:
    """Write a figure as SVG and PNG; return the PNG's path."""
    path = save_png(figure, folder / f"{stem}.png", dpi=130)
    figure.set_layout_engine("none")  # it is laid out: once is enough
    figure.savefig(path.with_suffix(".svg"), metadata={"Date": None})
    return path
