"""Source files as they are read without being imported: what they register, and which version of them it is."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

FIRST_NAMES = {b"purification_bench.benchmark.assets.loading": b"benchmark.models", b"purification_bench.": b""}
"""What plug-ins import from us, and how the first published results' plug-ins wrote it."""


class Registration(NamedTuple):
    """A class under a registering decorator."""

    name: str
    module: str
    summary: str


def registrations(package: str, decorator: str) -> Iterator[Registration]:
    """Yield what ``@decorator(name)`` registers in the modules of a package, in the order of their names."""
    spec = importlib.util.find_spec(package)
    for folder in (spec.submodule_search_locations if spec else None) or ():
        for file in sorted(Path(folder).glob("*.py")):
            for name, doc in _decorated(file.read_text(encoding="utf-8"), decorator):
                yield Registration(name, f"{package}.{file.stem}", first_line(doc))


def _decorated(source: str, decorator: str) -> Iterator[tuple[str, str | None]]:
    """Yield the names that classes are registered under, and their docstrings."""
    if f"@{decorator}(" not in source:
        return
    for node in ast.parse(source).body:
        if not isinstance(node, ast.ClassDef):
            continue
        for mark in node.decorator_list:
            if isinstance(mark, ast.Call) and isinstance(mark.func, ast.Name) and mark.func.id == decorator:
                yield ast.literal_eval(mark.args[0]), ast.get_docstring(node)


def first_line(doc: str | None) -> str:
    """Return the summary of a docstring; empty where there is none."""
    return (doc or "").strip().split("\n")[0]


def digest_of_source(cls: type[Any]) -> str | None:
    """Return the SHA-256 of the file that a class is defined in; None where there is no such file.

    Our modules are read under the names that they had when the first results were stored: a new name makes no new
    results.
    """
    file = inspect.getsourcefile(cls)
    if file is None:
        return None
    source = Path(file).read_bytes()
    for name, first in FIRST_NAMES.items():
        source = source.replace(name, first)
    return hashlib.sha256(source).hexdigest()
