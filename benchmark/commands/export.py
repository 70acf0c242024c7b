"""``bench export``: a store as one flat table."""

from __future__ import annotations

import argparse

from purification_bench.leaderboard.results.store import Store
from purification_bench.leaderboard.showing import export


def run(args: argparse.Namespace) -> int:
    """Write a store's cells to a CSV or Parquet file."""
    results = list(Store(args.store).results())
    export.write(results, args.file)
    print(f"{args.file}: {len(results)} rows")
    return 0
