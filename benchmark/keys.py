"""Digests of files, and random seeds keyed by what they are for."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from purification_bench.leaderboard.results.canonical import digest


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def keyed_seed(*parts: Any) -> int:
    """Return a 63-bit seed that depends on every part, for a generator that serves only that purpose."""
    return int(digest(list(parts))[:16], 16) >> 1
