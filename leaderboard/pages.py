"""The page of a store, whichever it is: the only place that knows them all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from purification_bench.leaderboard.mandal2023.page import write_reproduction
from purification_bench.leaderboard.results.store import LEADERBOARD, REPRODUCTION, Store
from purification_bench.leaderboard.showing.page import write_leaderboard

WRITERS: Mapping[str, Callable[[Store, Path | None], Path]] = {
    LEADERBOARD: write_leaderboard,
    REPRODUCTION: write_reproduction,
}
"""What writes a page, by the kind of store."""


def write(store: Store, target: Path | None = None) -> Path:
    """Render a store's page and its pictures from the results alone; return the page's path.

    ``target`` is where the page goes, ``README.md`` in the store if none is given.
    """
    return WRITERS[store.kind](store, target)
