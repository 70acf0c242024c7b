"""Cells that the tables of this room share, and what their notes have in common."""

from __future__ import annotations

from collections.abc import Iterable

from purification_bench.leaderboard.judging.boards import Row
from purification_bench.leaderboard.judging.statistics import Estimate, estimate
from purification_bench.leaderboard.mandal2023.published import Published
from purification_bench.leaderboard.results.result import Result
from purification_bench.leaderboard.showing.tables.accuracies import linf_size
from purification_bench.leaderboard.showing.tables.origin import machine
from purification_bench.leaderboard.showing.values import (
    UNSAID,
    Missing,
    Number,
    Points,
    Share,
    Term,
    Text,
    Value,
    known,
    text,
)

PUBLISHED_DECIMALS = 2
LATENCY = (Term("p50 s"), ", latency: the purifier alone, one image at a time, median.")
ONE_STEP = (
    "* From eps .5 on one grey image stands for every class: no classifier can be robust there, and accuracy under one "
    "step bounds nothing. Shown because the paper reports it."
)


def published_share(number: Published) -> Share:
    """Return an accuracy as the paper prints it."""
    return Share(number.value, PUBLISHED_DECIMALS)


def beside(number: Published, measured: Estimate | None) -> list[Value]:
    """Return what was measured, and by how much it differs."""
    difference = None if measured is None else Points(measured.value - number.value)
    return [known(measured), known(difference)]


def clean_accuracy(attacked: Result) -> Estimate | Missing:
    """Return the share of an attacked result's own images that are right when they are clean."""
    return known(None if attacked.clean is None else estimate(attacked.clean.means))


def timed(row: Row) -> list[Value]:
    """Return a purifier's latency, and what it was timed on."""
    latency = row.latency
    if latency is None or latency.latency is None or row.undefended:
        return [Missing(), Missing()]
    median = latency.latency["single"]["purifier"]["p50_ms"] / 1000
    return [Number(median, "s"), text(machine(latency))]


def one_step_note(sizes: Iterable[float]) -> Text:
    """Return what the mark on large sizes means, where there are any."""
    return text(ONE_STEP) if any(linf_size(eps).marked for eps in sizes) else UNSAID
