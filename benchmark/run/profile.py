"""Where the time of a run went: by phase, and by unit of work."""

from __future__ import annotations

import contextlib
import time
from collections import defaultdict
from collections.abc import Iterator

PHASES = ("load", "attack", "probe", "purify", "classify", "time", "store")
"""What a run spends time on; what is none of these is the harness's own."""


class Profile:
    """Adds up seconds. Of phases within each other the inner one counts."""

    def __init__(self) -> None:
        self.phases: dict[str, float] = defaultdict(float)
        self.units: dict[str, float] = defaultdict(float)
        self._begun = time.perf_counter()
        self._within = [0.0]

    @property
    def total(self) -> float:
        """Seconds since the profile was begun."""
        return time.perf_counter() - self._begun

    @property
    def own(self) -> float:
        """Seconds that are no phase's: the harness's own share."""
        return self.total - sum(self.phases.values())

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Count the time of the block, less that of phases within it."""
        begun = time.perf_counter()
        self._within.append(0.0)
        try:
            yield
        finally:
            spent = time.perf_counter() - begun
            self.phases[name] += spent - self._within.pop()
            self._within[-1] += spent

    @contextlib.contextmanager
    def unit(self, name: str) -> Iterator[None]:
        """Count the time of the block to a unit of work."""
        begun = time.perf_counter()
        try:
            yield
        finally:
            self.units[name] += time.perf_counter() - begun
