"""``bench compare``: two stores, or two defenses of one store."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from purification_bench.benchmark import console
from purification_bench.defenses.errors import UserError, unknown_name
from purification_bench.leaderboard.judging.differences import between_defenses, between_stores
from purification_bench.leaderboard.results.store import Store
from purification_bench.leaderboard.showing import names
from purification_bench.leaderboard.showing.tables.comparisons import a_against_b
from purification_bench.leaderboard.showing.wording import written


def run(args: argparse.Namespace) -> int:
    """Print the paired comparison of ``args.first`` and ``args.second``."""
    first, second = args.first, args.second
    stores = [(Path(name) / "cells").is_dir() for name in (first, second)]
    if all(stores):
        differences = between_stores(Store(Path(first)).results(), Store(Path(second)).results())
    elif any(stores):
        other = second if stores[0] else first
        raise UserError(f"{other!r} holds no results; compare two result folders, or two defenses of one (--out)")
    else:
        results = list(Store(args.out).results())
        labels = sorted({result.defense for result in results})
        first, second = (_label(name, labels, args.out) for name in (first, second))
        if first == second:
            raise UserError(f"{args.first!r} and {args.second!r} are the same row, {first}")
        differences = between_defenses(results, first, second)
    screen, table = Console(), a_against_b(differences, first, second)
    console.show(screen, table)
    screen.print(written(table.note), markup=False)
    return 0


def _label(name: str, labels: Sequence[str], folder: Path) -> str:
    """Return the row that a name means: its full name, its short one, or a defense of which there is one row."""
    meant, short = names.meant(name, labels), names.shortened(labels)
    several = [short[label] for label in labels if label.partition("[")[0] == name]
    if meant is None and len(several) > 1:
        raise UserError(f"{name!r} is {len(several)} rows in {str(folder)!r}: name one of {'; '.join(several)}")
    if meant is None:
        raise unknown_name(f"defense in {str(folder)!r}:", name, short.values())
    return meant
