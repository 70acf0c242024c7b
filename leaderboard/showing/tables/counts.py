"""How many: of images, draws, queries."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from purification_bench.leaderboard.results.result import Result
from purification_bench.leaderboard.showing.values import Counts, Missing


def span(numbers: Sequence[int]) -> Counts | Missing:
    """Return the range of some counts."""
    return Counts(min(numbers), max(numbers)) if numbers else Missing()


def image_counts(results: Iterable[Result | None]) -> Counts | Missing:
    """Return the number of images that results were judged on, those left out that are missing or failed.

    An attack that passed over broken images counts with all: they are judged.
    """
    return span([r.n if r.partial else int(r.met.sum()) for r in results if r is not None and r.ok])
