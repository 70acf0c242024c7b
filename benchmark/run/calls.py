"""How many calls a defense is timed in."""

from __future__ import annotations

WARM_UP, WARM_UP_SECONDS = 10, 3.0
"""Untimed calls before: WARM_UP or WARM_UP_SECONDS, whichever comes first, but at least one."""
MAX_CALLS, MIN_CALLS, MAX_SECONDS = 200, 20, 30.0
"""Calls at batch 1: MAX_CALLS or MAX_SECONDS, whichever comes first, but at least MIN_CALLS."""
OFFLINE_CALLS, OFFLINE_SECONDS = 5, 30.0
"""The same at the declared batch."""
