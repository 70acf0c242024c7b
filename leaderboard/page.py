"""The leaderboard of a store: its page, its figures."""

from __future__ import annotations

import os
from pathlib import Path

from leaderboard import figures, markdown
from leaderboard.atomic import replacing
from leaderboard.boards import boards
from leaderboard.store import Store


def write(store: Store, target: Path | None = None) -> Path:
    """Render the page and its figures from the results alone; return the page's path (default ``README.md`` there)."""
    page = target or store.root / "README.md"
    results = list(store.results())
    folder = store.root / "figures"
    pictures: dict[str, list[tuple[str, str]]] = {}
    for board in boards(results):
        name = markdown.board_name(board)
        drawn = [
            (
                "Accuracy in the worst case, as an attacker leaves it who does not know the purifier, and as those do "
                "who see it. The dotted line is the dataset's mark.",
                figures.gaps(board, folder, f"gaps-{name}"),
            ),
            (
                "Robustness curves. The dotted line is the dataset's mark.",
                figures.curves(board, folder, f"curves-{name}"),
            ),
            (
                "What the purifiers do to the first images, and how far that is from the clean image "
                "(grey: not at all).",
                figures.gallery(board, store.examples_of, folder, f"gallery-{name}"),
            ),
        ]
        pictures[name] = [
            (caption, Path(os.path.relpath(path, page.parent)).as_posix()) for caption, path in drawn if path
        ]
    set_aside = [f"`{path.name}`: {reason}" for path, reason in store.set_aside]
    page.parent.mkdir(parents=True, exist_ok=True)
    with replacing(page) as partial:
        partial.write_text(markdown.page(results, pictures, store.commands(), set_aside), encoding="utf-8")
    return page
