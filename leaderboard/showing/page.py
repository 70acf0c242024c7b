"""The leaderboard of a store: its page, its figures."""

from __future__ import annotations

import os
from pathlib import Path

from purification_bench.leaderboard.judging.layout import lay_out
from purification_bench.leaderboard.results.atomic import replacing
from purification_bench.leaderboard.results.result import STANDARD
from purification_bench.leaderboard.results.store import Store
from purification_bench.leaderboard.showing import figures, markdown


def write(store: Store, target: Path | None = None) -> Path:
    """Render the page and its figures from the results alone; return the page's path (default ``README.md`` there)."""
    page = target or store.root / "README.md"
    results = list(store.results())
    folder = store.root / "figures"
    pictures: dict[str, list[tuple[str, str]]] = {}
    for board in lay_out(results):
        if board.protocol != STANDARD:
            continue
        name = markdown.board_name(board)
        drawn = [
            (
                "Worst case: against the attacker who does not know the purifier, and against all together. The "
                "dotted line is the dataset's mark, the size at which rows are compared.",
                figures.gaps(board, folder, f"gaps-{name}"),
            ),
            (
                "Accuracy attack by attack, gray-box: the attacker does not know the purifier, so this bounds nothing. "
                "The dotted line is the dataset's mark.",
                figures.curves(board, folder, f"curves-{name}"),
            ),
            (
                f"What the purifiers (at most {figures.GALLERY_DEFENSES}) do to the first images under a gray-box "
                "attack, and how far that is from the clean image (grey: not at all).",
                figures.gallery(board, store.examples_of, folder, f"gallery-{name}"),
            ),
        ]
        pictures[name] = [
            (caption, Path(os.path.relpath(path, page.parent)).as_posix()) for caption, path in drawn if path
        ]
    set_aside = [f"`{path.name}`: {reason}" for path, reason in store.set_aside]
    page.parent.mkdir(parents=True, exist_ok=True)
    with replacing(page) as partial:
        partial.write_text(
            markdown.page(results, pictures, store.commands(), set_aside, store.about()), encoding="utf-8"
        )
    return page
