"""Plug-ins: Python files that the user names, and what installed distributions bring by entry point."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

from purification_bench.defenses.errors import UserError
from purification_bench.defenses.faults import FAULTS, reason


def load_plugin(path: str | Path) -> bool:
    """Import a Python file so that its decorators run; return whether it was not imported before.

    It may import the files beside it. Raises ``UserError`` where it cannot be imported.
    """
    file = Path(path).resolve()
    if file.is_dir():
        raise UserError(f"plug-in {str(path)!r} is a folder: name the Python file in it that registers something")
    if not file.is_file():
        raise UserError(f"plug-in file {str(path)!r} does not exist")
    name = f"bench_plugin_{file.stem}_{hashlib.sha256(str(file).encode()).hexdigest()[:8]}"
    if name in sys.modules:
        return False
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise UserError(f"plug-in file {str(path)!r} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    if str(file.parent) not in sys.path:
        sys.path.append(str(file.parent))  # the last place that is searched: nothing of ours or Python's is hidden
    try:
        spec.loader.exec_module(module)
    except UserError:
        del sys.modules[name]
        raise
    except FAULTS as error:
        del sys.modules[name]
        raise UserError(f"plug-in {str(path)!r} does not import: {reason(error)}") from error
    return True


def load_point(kind: str, point: EntryPoint) -> type[Any]:
    """Import the class that an entry point names; raise ``UserError`` where it cannot be imported."""
    try:
        cls: type[Any] = point.load()
    except FAULTS as error:
        raise UserError(f"the {kind} plug-in {point.value!r} does not import: {reason(error)}") from error
    return cls
