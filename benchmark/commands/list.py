"""``bench list``: what there is to run, and what is known of each, read without importing torch."""

from __future__ import annotations

import argparse
import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

from purification_bench.attacks.protocol import PROTOCOLS
from purification_bench.attacks.threat import ADAPTIVE, SUBMITTED, THREATS, adaptive
from purification_bench.benchmark.assets import zoo
from purification_bench.benchmark.commands import details
from purification_bench.benchmark.registries import REGISTRIES
from purification_bench.benchmark.run import presets
from purification_bench.defenses.errors import unknown_name

GAP = 2
"""Spaces between columns."""
NARROWEST = 30
"""Of the column that is wrapped."""


def run(args: argparse.Namespace) -> int:
    """Print one line for each registered name, preset, or set of weights; with a name, what is known of it."""
    what = args.what if args.what in (*REGISTRIES, "zoo") else f"{args.what.removesuffix('s')}s"
    rows = list(_rows(what, args))
    if args.name is None:
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        print("\n".join(_aligned(rows, width)))
        return 0
    names = list(dict.fromkeys(row[0].partition("[")[0] for row in rows))
    if args.name not in names:
        raise unknown_name(what.removesuffix("s"), args.name, names)
    print("\n".join(_details(what, args)))
    return 0


def _rows(what: str, args: argparse.Namespace) -> Iterator[list[str]]:
    if what == "zoo":
        yield from (_weights_row(weights) for weights in zoo.entries(zoo.search_path(args.zoo)))
    elif what == "presets":
        yield from ([name, presets.summary(name)] for name in presets.names())
    elif what == "threats":
        yield from ([word, threat.summary] for word, threat in (*THREATS.items(), (SUBMITTED.word, SUBMITTED)))
        yield [ADAPTIVE, f"the baseline and what sees the purifier: {', '.join(adaptive())}"]
    elif what == "protocols":
        yield from ([name, rules.summary] for name, rules in PROTOCOLS.items())
    else:
        entries = REGISTRIES[what].entries().values()
        yield from ([entry.name, details.summary(entry), _shown(entry.provider)] for entry in entries)


def _details(what: str, args: argparse.Namespace) -> Iterator[str]:
    """Yield what is known of one name."""
    if what == "zoo":
        found = zoo.entries(zoo.search_path(args.zoo))
        yield from _aligned([_weights_row(weights) for weights in found if weights.name == args.name], None)
    elif what == "presets":
        yield presets.source(args.name).rstrip()
    elif what == "threats":
        yield from details.of_threat(args.name)
    elif what == "protocols":
        yield f"{args.name}: {PROTOCOLS[args.name].summary}"
    else:
        yield from details.of_class(REGISTRIES[what], args.name, zoo.search_path(args.zoo))


def _shown(provider: str) -> str:
    """Return who provides a name; a file as it is reached from here."""
    file = Path(provider)
    return str(file.relative_to(Path.cwd())) if file.is_absolute() and file.is_relative_to(Path.cwd()) else provider


def _weights_row(weights: zoo.Weights) -> list[str]:
    return [weights.label, weights.place, weights.scores, weights.date, weights.sha256[:12], weights.command]


def _aligned(rows: Sequence[Sequence[str]], width: int | None) -> list[str]:
    """Set rows in columns; where they are wider than ``width``, the longest column is wrapped."""
    if not rows:
        return []
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    longest = widths.index(max(widths))
    if width is not None:
        others = sum(widths) - widths[longest] + GAP * (len(widths) - 1)
        widths[longest] = min(widths[longest], max(NARROWEST, width - others))
    return [line for row in rows for line in _lines(row, widths)]


def _lines(row: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
    cells = [
        textwrap.wrap(cell, width, break_on_hyphens=False) or [""] for cell, width in zip(row, widths, strict=True)
    ]
    for index in range(max(map(len, cells))):
        parts = (cell[index] if index < len(cell) else "" for cell in cells)
        padded = (part.ljust(width) for part, width in zip(parts, widths, strict=True))
        yield (" " * GAP).join(padded).rstrip()
