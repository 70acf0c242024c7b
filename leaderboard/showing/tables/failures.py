"""The cells that failed, and why."""

from __future__ import annotations

from collections.abc import Iterable

from purification_bench.leaderboard.judging import layout
from purification_bench.leaderboard.judging.boards import Column
from purification_bench.leaderboard.results.result import Result
from purification_bench.leaderboard.showing import threats
from purification_bench.leaderboard.showing.table import Table, words
from purification_bench.leaderboard.showing.values import Attacked, Name, Size, Value, listing, text


def failures(results: Iterable[Result]) -> Table | None:
    """List the cells that failed, and why, one line a cause; None where none did."""
    failed = layout.failures(results)
    causes: dict[tuple[str, str, str], list[Value]] = {}
    for result in failed:
        cause = (result.defense, ", ".join(result.place), result.reason)
        causes.setdefault(cause, []).append(_cell(result))
    rows = [
        [Name(defense), text(where), listing(cells), text(error)] for (defense, where, error), cells in causes.items()
    ]
    headings = words("defense", "where", "cells", "error")
    return Table(f"{len(failed)} failed cells", headings, rows) if rows else None


def _cell(result: Result) -> Value:
    if result.kind == "latency":
        return text("latency")
    if result.attack is None:
        return text("clean")
    return Attacked(", ".join(threats.named(result.attack, Column.of(result).threat)), Size(result.eps))
