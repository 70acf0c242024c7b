"""The leaderboard of a store: its page, its pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from purification_bench.leaderboard.judging.boards import Board
from purification_bench.leaderboard.judging.layout import lay_out
from purification_bench.leaderboard.results.result import STANDARD, Result, place
from purification_bench.leaderboard.results.store import Store, file_stem
from purification_bench.leaderboard.showing import certified, markdown, page_parts
from purification_bench.leaderboard.showing.curves import MOST_ROWS, curves, gaps
from purification_bench.leaderboard.showing.front import pareto
from purification_bench.leaderboard.showing.gallery import MOST_DEFENSES, gallery
from purification_bench.leaderboard.showing.page_boards import Picture, Section
from purification_bench.leaderboard.showing.strength import strength
from purification_bench.leaderboard.showing.tables import standings
from purification_bench.leaderboard.showing.tables.origin import machine, versions
from purification_bench.leaderboard.showing.values import Name, Term, text

GAPS = (
    "What is claimed, against attackers who do not know the purifier, and what all attackers together leave. The "
    "dotted line is the size at which rows are compared."
)
PARETO = (
    "What all attackers together leave at the size at which rows are compared, against the time that an image takes, "
    "one at a time. Filled: of the rows that have a rank, no other is as fast and keeps as much. A cross: no rank, so "
    "that less may be left. Rows that were timed on another device are left out."
)
CURVES = (
    f"Accuracy under attackers who do not know the purifier, attack by attack, of at most {MOST_ROWS} defenses. Others "
    "leave less. The dotted line is the size at which rows are compared."
)
STRENGTH = (
    "What attacks leave at the size at which rows are compared, against the gradients that an image took, for attacks "
    "that ran at several costs; each line on the images that all its points share."
)
GALLERY = (
    f"What the purifiers (at most {MOST_DEFENSES}) make of the first images under an attack that does not know them, "
    "and how far that is from the clean image (grey: not at all). A digit in a corner, where "
    "the run kept it, is the class that the classifier sees: green where it is right."
)

Pictures = Mapping[str, Mapping[str, Picture]]
"""For each board's file name, its pictures by name."""


def write_leaderboard(store: Store, target: Path | None = None) -> Path:
    """Render the page and its pictures from the results alone; return the page's path (default ``README.md`` there)."""
    page = target or store.root / "README.md"
    results = list(store.results())
    shown = lay_out(results)
    judged, folder = [board for board in shown if board.protocol == STANDARD], page.parent / "figures"
    pictures = {
        file_name(board): {
            name: (caption, page_parts.link(path, page)) for name, caption, path in _drawn(board, store, folder)
        }
        for board in judged
    }
    certificates = certified.section(store.certificates(), page)
    parts = [store.about() or "# Leaderboard", *sections(results, shown, pictures, certificates)]
    page_parts.write(page, [*parts, *page_parts.endings(results, store.commands(), store.set_aside)])
    return page


def sections(
    results: Sequence[Result], shown: Sequence[Board], pictures: Pictures, certificates: Sequence[str] = ()
) -> list[str]:
    """Return the summary of each board, the contents, the details of each board, and how all was computed.

    ``certificates`` is the part on those.
    """
    if not results:
        return [*certificates] or ["No results yet."]
    each = [Section(board, pictures.get(file_name(board), {})) for board in shown]
    legend = [markdown.prose(sentences) for sentences in standings.LEGEND]
    return [
        *(legend if any(section.is_ranked for section in each) else []),
        *(section.summary for section in each),
        "## Contents",
        _contents(each),
        *(section.details for section in each),
        *certificates,
        "## How this was computed",
        _computed(results),
    ]


def file_name(board: Board) -> str:
    """Return the name that a board's pictures are filed under."""
    return f"{file_stem(place(board.dataset, board.classifier, board.protocol))}-seed{board.seed}"


def _contents(each: Sequence[Section]) -> str:
    lines = []
    for section in each:
        top, *below = section.contents
        lines.append(f"- {markdown.link(top)}")
        lines += [f"  - {markdown.link(title)}" for title in below]
    return "\n".join(lines)


def _drawn(board: Board, store: Store, folder: Path) -> list[tuple[str, str, Path]]:
    """Draw a board's pictures; return the name, caption and file of each that there is something to draw for."""
    name = file_name(board)
    drawn = [
        ("gaps", GAPS, gaps(board, folder, f"gaps-{name}")),
        ("pareto", PARETO, pareto(board, folder, f"pareto-{name}")),
        ("strength", STRENGTH, strength(board, folder, f"strength-{name}")),
        ("curves", CURVES, curves(board, folder, f"curves-{name}")),
        ("gallery", GALLERY, gallery(board, store.examples_of, folder, f"gallery-{name}")),
    ]
    return [(what, caption, path) for what, caption, path in drawn if path is not None]


def _computed(results: Sequence[Result]) -> str:
    machines = sorted({machine(result) for result in results})
    installed = sorted({versions(result) for result in results})
    days = sorted({result.created[:10] for result in results})
    span = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    return markdown.prose(
        text(
            f"{len(results)} cells, computed {span} on {'; '.join(machines)} with {'; '.join(installed)}. A ",
            Term("cell"),
            " is one defense on clean images, under one attack at one size, or timed. Figures are percent of images; "
            "in brackets is the 95 % interval (Wilson; of a random defense at the effective sample size). Intervals do "
            "not cover the randomness of training. ",
            Name("accuracy"),
            " is the share right under one attack; ",
            Name("robust_accuracy"),
            " the share right on the clean image and under every attack of a set.",
        )
    )
