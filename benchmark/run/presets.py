"""The TOML files of a run's configuration: those that ship, and the user's."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from purification_bench.benchmark.paths import PRESETS
from purification_bench.defenses.errors import UserError, unknown_name

DEFAULT = "quick"


def names() -> list[str]:
    """Return the names of the presets."""
    return sorted(path.stem for path in PRESETS.glob("*.toml"))


def summary(name: str) -> str:
    """Return the comment line that a preset's file starts with."""
    return (PRESETS / f"{name}.toml").read_text(encoding="utf-8").split("\n")[0].lstrip("# ")


def source(name: str) -> str:
    """Return the text of a preset's file."""
    return (PRESETS / f"{name}.toml").read_text(encoding="utf-8")


def read(name: str) -> dict[str, Any]:
    """Return what a preset says; raise ``UserError`` for an unknown one."""
    if name not in names():
        raise unknown_name("preset", name, names())
    return read_file(PRESETS / f"{name}.toml")


def read_file(file: Path) -> dict[str, Any]:
    """Return what a file says; raise ``UserError`` where it cannot be read."""
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"configuration file {str(file)!r} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"configuration file {str(file)!r} is not TOML: {error}") from error
