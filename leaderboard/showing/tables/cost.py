"""What a defense costs, image by image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from purification_bench.leaderboard.judging.boards import Board, Row
from purification_bench.leaderboard.results.result import Result
from purification_bench.leaderboard.showing.names import row_name
from purification_bench.leaderboard.showing.table import Table, figures, words
from purification_bench.leaderboard.showing.tables.origin import machine
from purification_bench.leaderboard.showing.values import (
    Count,
    Missing,
    Number,
    Quantiles,
    Text,
    Value,
    known,
    text,
)

NOTE = "Batch 1 after warm-up, defenses interleaved; compare only rows of one device. Peak: the process's on a CPU."


UNSTEADY = 0.1
"""Difference between the medians of two halves of the calls, as a share of the whole's, from which on it is told."""


def latency(board: Board) -> Table | None:
    """Cost of each defense; None where nothing was timed."""
    timed = [(row_name(board, row), row.latency) for row in board.rows.values() if row.latency is not None]
    rows = [[defense, *_costs(result, result.latency)] for defense, result in timed if result.latency]
    headings = [
        *words("defense"),
        *figures("purifier p50 / p90 ms", "end to end p50 / p90 ms", "calls", "images/s", "batch", "peak MiB"),
        *words("device"),
    ]
    return Table("Latency", headings, rows, text(NOTE), _unsteady(board)) if rows else None


def _unsteady(board: Board) -> list[Text]:
    """Say which rows were not timed well: run again, they may say something else."""
    said = []
    for row in board.rows.values():
        timed = row.latency.latency if row.latency else None
        spread = timed["single"]["end_to_end"].get("spread") if timed else None
        if spread is not None and spread > UNSTEADY:
            said.append(text(row_name(board, row), f": two halves of its calls differ by {100 * spread:.0f} %."))
    return said


def _costs(result: Result, timed: Mapping[str, Any]) -> list[Value]:
    single, offline, memory = timed["single"], timed["offline"], timed["peak_memory_mib"]
    return [
        *(Quantiles(*_milliseconds(single[part])) for part in ("purifier", "end_to_end")),
        Count(single["end_to_end"]["calls"]),
        Number(offline["images_per_second"], "images/s"),
        Count(offline["batch"]),
        known(None if memory is None else Number(memory, "MiB")),
        text(machine(result)),
    ]


def hours(row: Row) -> Number | Missing:
    """Return what the attacks on a row and their verdicts took: hours of one CPU core, or of one GPU."""
    others = (result for results in row.also.values() for result in results)
    spent = [_core_seconds(result) for result in (row.clean, *row.cells.values(), *others) if result is not None]
    return Number(sum(spent) / 3600, "h") if spent else Missing()


def _core_seconds(result: Result) -> float:
    on_cpu = result.environment["device"] == "cpu"
    return sum(result.seconds.values()) * (int(result.environment["threads"]) if on_cpu else 1)


def end_to_end(row: Row) -> list[Number | Missing]:
    """Return p50 and p90 of purifier and classifier together, and images/s."""
    timed = row.latency.latency if row.latency else None
    if timed is None:
        return [Missing(), Missing(), Missing()]
    rate = Number(timed["offline"]["images_per_second"], "images/s")
    return [*_milliseconds(timed["single"]["end_to_end"]), rate]


def _milliseconds(part: Mapping[str, float]) -> tuple[Number, Number]:
    return Number(part["p50_ms"], "ms"), Number(part["p90_ms"], "ms")
