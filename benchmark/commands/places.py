"""Where a command line says that things are found."""

from __future__ import annotations

import argparse

from purification_bench.benchmark.run.session import Places


def places(args: argparse.Namespace) -> Places:
    """Return what ``--data-dir`` and ``--zoo`` say."""
    return Places(args.data_dir, args.zoo)
