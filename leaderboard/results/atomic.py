"""Files that are written whole or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

PARTIAL = ".partial"


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a path to write to; when the block ends well, that file takes the place of ``path`` in one step.

    The path is this process's own: two processes that write the same file do not meet.
    """
    partial = path.with_name(f"{path.name}.{os.getpid()}{PARTIAL}")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def clear_leftovers(folder: Path) -> None:
    """Remove what processes that are no more left half-written in ``folder``."""
    for leftover in folder.glob(f"*{PARTIAL}"):
        if not _is_alive(leftover.suffixes[-2:-1]):
            leftover.unlink(missing_ok=True)


def _is_alive(suffix: list[str]) -> bool:
    try:
        os.kill(int(suffix[0].lstrip(".")), 0)
    except (IndexError, ValueError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True
