"""How much is measured."""

from __future__ import annotations

import os

N = int(os.environ.get("PERF_N", "50"))
"""Images of the grids."""
ROUNDS = int(os.environ.get("PERF_ROUNDS", "5"))
"""Times that a call is timed, of which the median counts."""
