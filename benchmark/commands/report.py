"""``bench report``: the leaderboard's page and figures, from a store alone."""

from __future__ import annotations

import argparse

from benchmark import console
from leaderboard import page
from leaderboard.store import Store


def run(args: argparse.Namespace) -> int:
    """Render the page of a store; no torch is imported."""
    store = Store(args.store)
    written = page.write(store, args.page)
    console.tell_set_aside(store)
    print(written)
    return 0
