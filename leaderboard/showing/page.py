"""The leaderboard of a store: its page, its pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from purification_bench.leaderboard.judging.boards import Board
from purification_bench.leaderboard.judging.layout import lay_out
from purification_bench.leaderboard.results.result import STANDARD, Result, place
from purification_bench.leaderboard.results.store import Store, file_stem
from purification_bench.leaderboard.showing import markdown, page_parts
from purification_bench.leaderboard.showing.curves import curves, gaps
from purification_bench.leaderboard.showing.gallery import MOST_DEFENSES, gallery
from purification_bench.leaderboard.showing.page_boards import board_section
from purification_bench.leaderboard.showing.tables.origin import machine, versions
from purification_bench.leaderboard.showing.values import Name, text

GAPS = (
    "Worst case: against the attacker who does not know the purifier, and against all together. The dotted line is the "
    "dataset's mark, the size at which rows are compared."
)
CURVES = (
    "Accuracy attack by attack, gray-box: the attacker does not know the purifier, so this bounds nothing. The dotted "
    "line is the dataset's mark."
)
GALLERY = (
    f"What the purifiers (at most {MOST_DEFENSES}) do to the first images under a gray-box attack, and how far that is "
    "from the clean image (grey: not at all)."
)

Pictures = Mapping[str, Sequence[tuple[str, str]]]
"""For each board's file name, the caption and the path of its pictures, relative to the page."""


def write_leaderboard(store: Store, target: Path | None = None) -> Path:
    """Render the page and its pictures from the results alone; return the page's path (default ``README.md`` there)."""
    page = target or store.root / "README.md"
    results = list(store.results())
    shown = lay_out(results)
    judged, folder = [board for board in shown if board.protocol == STANDARD], page.parent / "figures"
    pictures = {
        file_name(board): [(caption, page_parts.link(path, page)) for caption, path in _drawn(board, store, folder)]
        for board in judged
    }
    parts = [store.about() or "# Leaderboard", *sections(results, shown, pictures)]
    page_parts.write(page, [*parts, *page_parts.endings(results, store.commands(), store.set_aside)])
    return page


def sections(results: Sequence[Result], shown: Sequence[Board], pictures: Pictures) -> list[str]:
    """Return how the results were computed, and a section for each board."""
    return [_computed(results), *(board_section(board, pictures.get(file_name(board), [])) for board in shown)]


def file_name(board: Board) -> str:
    """Return the name that a board's pictures are filed under."""
    return f"{file_stem(place(board.dataset, board.classifier, board.protocol))}-seed{board.seed}"


def _drawn(board: Board, store: Store, folder: Path) -> list[tuple[str, Path]]:
    """Draw a board's pictures; return the caption and the file of each that there is something to draw for."""
    name = file_name(board)
    drawn = [
        (GAPS, gaps(board, folder, f"gaps-{name}")),
        (CURVES, curves(board, folder, f"curves-{name}")),
        (GALLERY, gallery(board, store.examples_of, folder, f"gallery-{name}")),
    ]
    return [(caption, path) for caption, path in drawn if path is not None]


def _computed(results: Sequence[Result]) -> str:
    if not results:
        return "No results yet."
    machines = sorted({machine(result) for result in results})
    installed = sorted({versions(result) for result in results})
    days = sorted({result.created[:10] for result in results})
    span = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    return markdown.prose(
        text(
            f"Computed {span} on {'; '.join(machines)} with {'; '.join(installed)}. {len(results)} cells. Every figure "
            "is in percent of images with its 95 % interval (Wilson; with draws, at the effective sample size); the "
            "intervals do not cover the randomness of training. ",
            Name("accuracy"),
            " is the share right under one attack; ",
            Name("robust_accuracy"),
            " the share right on the clean image and under every attack of a set.",
        )
    )
