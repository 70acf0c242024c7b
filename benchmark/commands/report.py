"""``bench report``: the leaderboard's page and figures, from a store alone."""

from __future__ import annotations

import argparse
import sys

from purification_bench.leaderboard import pages
from purification_bench.leaderboard.results.store import Store


def run(args: argparse.Namespace) -> int:
    """Render the page of a store; no torch is imported."""
    store = Store(args.store)
    written = pages.write(store, args.page)
    for path, reason in store.set_aside:  # what benchmark.console says, without loading rich
        print(f"bench: set aside {path}: {reason}", file=sys.stderr)
    print(written)
    return 0
