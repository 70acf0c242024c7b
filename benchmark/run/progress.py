"""Where a run tells how far it is."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Protocol, TypeAlias

from purification_bench.leaderboard.results.result import Result

Advance: TypeAlias = Callable[[int], None]
"""Takes note of so many more steps."""


class Progress(Protocol):
    """Where a run tells how far it is."""

    def task(self, text: str, total: int) -> contextlib.AbstractContextManager[Advance]:
        """Open a piece of work of ``total`` steps; the context gives the function that advances it."""

    def cell_done(self, result: Result) -> None:
        """Take note of a cell that has just been stored."""


class NoProgress:
    """Tells nobody."""

    def task(self, text: str, total: int) -> contextlib.AbstractContextManager[Advance]:
        """Return a context that does nothing."""
        return contextlib.nullcontext(lambda _: None)

    def cell_done(self, result: Result) -> None:
        """Do nothing."""
