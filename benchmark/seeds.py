"""Random seeds, keyed by what they are for."""

from __future__ import annotations

from typing import Any

from purification_bench.leaderboard.results.canonical import digest


def keyed_seed(*parts: Any) -> int:
    """Return a 63-bit seed that depends on every part, for a generator that serves only that purpose."""
    return int(digest(list(parts))[:16], 16) >> 1
