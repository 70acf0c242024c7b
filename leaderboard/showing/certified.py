"""What is certified of smoothed defenses: a section of the page, with its picture."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from matplotlib.figure import Figure

from purification_bench.leaderboard.judging.certified import current, largest_radius, radii
from purification_bench.leaderboard.results.certificate import Certificate
from purification_bench.leaderboard.results.store import file_stem
from purification_bench.leaderboard.showing import markdown
from purification_bench.leaderboard.showing.curves import PALETTE, save_figure
from purification_bench.leaderboard.showing.names import shortened
from purification_bench.leaderboard.showing.page_parts import link
from purification_bench.leaderboard.showing.pictures import Picture, in_percent
from purification_bench.leaderboard.showing.tables.certified import certified

CAPTION = (
    "The share of clean images whose vote is right and cannot be moved, against the L2 radius. Lines end where as many "
    "draws can certify no more."
)

TINY = 1e-6
"""Radii closer than this to the largest are that: all draws agreed."""


def section(certificates: Iterable[Certificate], page: Path) -> list[str]:
    """Return the part of a page on certificates, one table and picture for each data set and classifier."""
    places: dict[tuple[str, str], list[Certificate]] = {}
    for each in current(certificates):
        places.setdefault((each.dataset, each.classifier), []).append(each)
    parts = []
    for place, found in places.items():
        drawn = draw(found)
        path = save_figure(drawn, page.parent / "figures", f"certified-{file_stem(place)}")
        parts += [
            markdown.render(certified(", ".join(place), found), level=2),
            markdown.picture(CAPTION, link(path, page)),
        ]
    return parts


def draw(certificates: list[Certificate]) -> Figure:
    """Draw certified accuracy against L2 radius, one line a certificate."""
    short = shortened([each.defense for each in certificates])
    figure = Picture(figsize=(5.2, 3.2), layout="constrained")
    panel = figure.subplots()
    figure.suptitle(f"{certificates[0].dataset}, {certificates[0].classifier}: certified", fontsize=10)
    for k, each in enumerate(certificates):
        radius, left = _curve(each)
        colour = PALETTE[k % len(PALETTE)]
        panel.step(radius, left, where="post", color=colour, label=short[each.defense], clip_on=False)
        panel.plot(radius[-1], left[-1], "|", color=colour, markersize=9, clip_on=False)
    panel.set_xlabel("L2 radius (pixels in [0, 1])")
    panel.set_ylabel("certified accuracy (%)")
    panel.set_xlim(left=0)
    in_percent(panel, grid="y")
    panel.legend(frameon=False, fontsize=8)
    return figure


def _curve(certificate: Certificate) -> tuple[list[float], list[float]]:
    """Return radii up to the largest there is, and the percentage that is certified from each to the next."""
    found, largest = radii(certificate), max(0.0, largest_radius(certificate))
    steps = [0.0, *sorted({float(each) for each in found if 0 < each < largest - TINY}), largest]
    left = [100 * float((found > each).mean()) for each in steps[:-1]]
    return steps, [*left, left[-1]]
