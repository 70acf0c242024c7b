"""``python -m purification_bench`` is ``bench``."""

from __future__ import annotations

import sys

from purification_bench.benchmark.cli import main

if __name__ == "__main__":
    sys.exit(main())
