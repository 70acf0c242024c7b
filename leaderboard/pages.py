"""The page of a store, whichever it is: the only place that knows them all."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from purification_bench.leaderboard.results.store import LEADERBOARD, REPRODUCTION, Store
from purification_bench.leaderboard.showing.page_parts import refuse_foreign

WRITERS = {LEADERBOARD: "showing.page:write_leaderboard", REPRODUCTION: "mandal2023.page:write_reproduction"}
"""What writes a page, by the kind of store: loaded when a page is written, for drawing is slow to load."""


def current(store: Store) -> Path:
    """Return a store's page: as it is, where nothing in the store is newer or was set aside, else written anew."""
    page = store.root / "README.md"
    is_current = page.is_file() and page.stat().st_mtime >= store.changed() and not store.set_aside
    return page if is_current else write(store)


def write(store: Store, target: Path | None = None) -> Path:
    """Render a store's page and its pictures from the results alone; return the page's path.

    ``target`` is where the page goes, ``README.md`` in the store if none is given; its pictures go beside it. Raises
    ``StoreError`` where a page is there that bench did not write.
    """
    refuse_foreign(target or store.root / "README.md", store)
    module, _, name = WRITERS[store.kind].partition(":")
    written: Path = getattr(import_module(f"{__package__}.{module}"), name)(store, target)
    return written
