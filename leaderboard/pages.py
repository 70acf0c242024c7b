"""Which page a store has: the leaderboard, or one that is a command's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from purification_bench.leaderboard.mandal2023 import page as reproduction
from purification_bench.leaderboard.results.store import Store
from purification_bench.leaderboard.showing import page

WRITERS: Mapping[str, Callable[[Store, Path | None], Path]] = {"reproduce": reproduction.write}
"""What writes the page of a store that one command alone filled, by that command."""


def write(store: Store, target: Path | None = None) -> Path:
    """Render a store's page and its figures from the results alone; return the page's path."""
    return WRITERS.get(store.kind or "", page.write)(store, target)


def owner(store: Store) -> str | None:
    """Return the command that a store's page is the own of; None where it is the leaderboard."""
    return store.kind if store.kind in WRITERS else None
