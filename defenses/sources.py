"""Source files as they are read without being imported: what they register, and which version of them it is."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import inspect
from collections.abc import Iterator
from pathlib import Path
from types import CodeType
from typing import Any, NamedTuple

FIRST_NAMES = {b"purification_bench.benchmark.assets.loading": b"benchmark.models", b"purification_bench.": b""}
"""What plug-ins import from us, and how the first published results' plug-ins wrote it."""


class Registration(NamedTuple):
    """A class under a registering decorator."""

    name: str
    module: str
    cls: str
    summary: str


def registrations(package: str, decorator: str) -> Iterator[Registration]:
    """Yield what ``@decorator(name)`` registers in the modules of a package, in the order of their names."""
    spec = importlib.util.find_spec(package)
    for folder in (spec.submodule_search_locations if spec else None) or ():
        for file in sorted(Path(folder).glob("*.py")):
            for name, node in _decorated(file.read_text(encoding="utf-8"), decorator):
                module = f"{package}.{file.stem}"
                yield Registration(name, module, node.name, first_line(ast.get_docstring(node)))


def _decorated(source: str, decorator: str) -> Iterator[tuple[str, ast.ClassDef]]:
    """Yield the names that classes are registered under, and the classes."""
    if f"@{decorator}(" not in source:
        return
    for node in ast.parse(source).body:
        if not isinstance(node, ast.ClassDef):
            continue
        for mark in node.decorator_list:
            if isinstance(mark, ast.Call) and isinstance(mark.func, ast.Name) and mark.func.id == decorator:
                yield ast.literal_eval(mark.args[0]), node


def first_line(doc: str | None) -> str:
    """Return the summary of a docstring; empty where there is none."""
    return (doc or "").strip().split("\n")[0]


def digest_of_source(cls: type[Any]) -> str:
    """Return the SHA-256 of the file that a class is defined in; of its code alone where there is no such file.

    Our modules are read under the names that they had when the first results were stored: a new name makes no new
    results.
    """
    try:
        file = inspect.getsourcefile(cls)
    except TypeError:  # defined in a notebook
        file = None
    if file is None:
        return digest_of_code(cls)
    source = Path(file).read_bytes()
    for name, first in FIRST_NAMES.items():
        source = source.replace(name, first)
    return hashlib.sha256(source).hexdigest()


def digest_of_code(given: Any) -> str:
    """Return the SHA-256 of a function's, a class's or an object's own instructions and constants."""
    body = getattr(given, "__code__", None)
    functions = [body] if body else [f.__code__ for f in vars(_class(given)).values() if inspect.isfunction(f)]
    return hashlib.sha256("\n".join(map(_instructions, functions)).encode()).hexdigest()


def _class(given: Any) -> type[Any]:
    return given if isinstance(given, type) else type(given)


def _instructions(code: CodeType) -> str:
    constants = [_instructions(each) if isinstance(each, CodeType) else repr(each) for each in code.co_consts]
    return f"{code.co_code.hex()} {code.co_names} {constants}"
