"""``bench compare``: two stores, or two defenses of one store."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from purification_bench.benchmark import console
from purification_bench.defenses.errors import UserError, unknown_name
from purification_bench.leaderboard.judging.differences import between_defenses, between_stores
from purification_bench.leaderboard.results.store import Store
from purification_bench.leaderboard.showing.tables.comparisons import a_against_b
from purification_bench.leaderboard.showing.wording import written


def run(args: argparse.Namespace) -> int:
    """Print the paired comparison of ``args.first`` and ``args.second``."""
    stores = [(Path(name) / "cells").is_dir() for name in (args.first, args.second)]
    if all(stores):
        differences = between_stores(Store(Path(args.first)).results(), Store(Path(args.second)).results())
    elif any(stores):
        other = args.second if stores[0] else args.first
        raise UserError(f"{other!r} holds no results; compare two result folders, or two defenses of one (--out)")
    else:
        results = list(Store(args.out).results())
        labels = {result.defense for result in results}
        for label in (args.first, args.second):
            if label not in labels:
                raise unknown_name(f"defense in {str(args.out)!r}:", label, labels)
        differences = between_defenses(results, args.first, args.second)
    screen, table = Console(), a_against_b(differences)
    console.show(screen, table)
    screen.print(written(table.note), markup=False)
    return 0
