"""Where things lie: inside the package, and in the user's cache directory."""

from __future__ import annotations

from pathlib import Path

import platformdirs

PACKAGE = Path(__file__).parent
SPLITS = PACKAGE / "splits"
PRESETS = PACKAGE / "presets"
SHIPPED_ZOO = PACKAGE / "zoo"


def cache_dir() -> Path:
    """Return the user's cache directory for this project (``XDG_CACHE_HOME`` is honoured on Linux)."""
    return Path(platformdirs.user_cache_dir("purification-bench"))


def user_zoo() -> Path:
    """Return where ``bench train`` puts finished weights unless told otherwise."""
    return cache_dir() / "zoo"
