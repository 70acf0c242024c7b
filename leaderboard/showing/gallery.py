"""A gallery of what the purifiers do to images."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias

from matplotlib.figure import Figure

from purification_bench.leaderboard.judging.boards import Board, Column
from purification_bench.leaderboard.results.result import Result
from purification_bench.leaderboard.results.sizes import in_words
from purification_bench.leaderboard.showing.names import of_board
from purification_bench.leaderboard.showing.pictures import Images, Strip, difference, save_png, show_strips, wrapped

MOST_IMAGES = 8
MOST_DEFENSES = 10

Examples: TypeAlias = Callable[[Result], Mapping[str, Images] | None]
"""What the store keeps of a result's first images (``Store.examples_of``)."""


def gallery(board: Board, examples: Examples, folder: Path, stem: str) -> Path | None:
    """Draw clean and adversarial images, and for each defense what it makes of them and how far that is from clean.

    The attack is the last Linf one of the board at its mark that kept example images, the defenses its first
    ``MOST_DEFENSES``; None where none did.
    """
    for column in reversed(board.candidates(board.mark)):
        kept = _kept(board, column, examples)
        if not column.traits.control and kept:
            return _drawn(column, kept, folder / f"{stem}.png")
    return None


def _kept(board: Board, column: Column, examples: Examples) -> dict[str, Mapping[str, Images]]:
    """Return the images kept for an attack, by the defense that purified them."""
    kept = {}
    for name, row in board.rows.items():
        result = row.cells.get(column)
        images = examples(result) if result is not None and result.ok else None
        if images is not None and not row.undefended:
            kept[of_board(board)[name]] = images
    return kept


def _drawn(column: Column, kept: Mapping[str, Mapping[str, Images]], path: Path) -> Path:
    first = next(iter(kept.values()))
    count = min(MOST_IMAGES, *(len(images["clean"]) for images in kept.values()))
    strips = [
        _strip("clean", first, "clean"),
        _strip(f"{column.attack} {in_words(column.eps)}", first, "adversarial"),
        Strip("attacked − clean", difference(first["adversarial"], first["clean"])),
    ]
    for defense, images in itertools.islice(kept.items(), MOST_DEFENSES):
        strips += [
            _strip(wrapped(defense), images, "purified"),
            Strip("purified − clean", difference(images["purified"], images["clean"])),
        ]
    figure = Figure(figsize=(2.6 + 0.62 * count, 0.66 * len(strips) + 0.1), layout="constrained")
    cut = [strip._replace(images=strip.images[:count]) for strip in strips]
    show_strips(figure.subplots(), cut, label_size=8)
    return save_png(figure, path, dpi=110, bbox_inches="tight")


def _strip(name: str, images: Mapping[str, Images], kind: str) -> Strip:
    return Strip(name, images[kind], images.get(f"{kind}_classes"), images.get("labels"))
