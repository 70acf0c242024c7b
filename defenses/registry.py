"""One registry type for defenses, attacks, classifiers and datasets: the decorator is the list.

A built-in is found by reading the source files for the decorator, without importing them, so that listing names costs
milliseconds and needs no torch. A plug-in is found by entry point, or in a file that the user names.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib
import importlib.metadata
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from purification_bench.defenses.errors import UserError, unknown_name
from purification_bench.defenses.spec import Scalar, Spec, make_spec, split_spec

C = TypeVar("C", bound=type[Any])

FIRST_NAMES = {b"purification_bench.benchmark.assets.loading": b"benchmark.models", b"purification_bench.": b""}
"""What plug-ins import from us, and how the first published results' plug-ins wrote it."""


@dataclass(frozen=True)
class Entry:
    """What is known of a registered name without importing it."""

    name: str
    summary: str
    origin: str
    """``built-in``, the distribution that ships it, or the file it was loaded from."""
    module: str | None = None
    point: importlib.metadata.EntryPoint | None = None


class Registry:
    """Names and their classes, of one kind.

    Parameters
    ----------
    kind:
        What error messages call it: ``defense``, ``attack``, ...
    package:
        The package whose source files hold the built-ins.
    """

    def __init__(self, kind: str, package: str) -> None:
        self.kind = kind
        self.package = package
        self.decorator = f"register_{kind}"
        self.group = f"purification_bench.{kind}s"
        self._classes: dict[str, type[Any]] = {}

    def register(self, name: str) -> Callable[[C], C]:
        """Return the class decorator that enters a class under ``name``; a second class of that name raises."""

        def enter(cls: C) -> C:
            known = self._classes.get(name)
            builtin = self._builtins.get(name)
            if (known is not None and known is not cls) or (builtin and builtin.module != cls.__module__):
                first = known.__module__ if known is not None else builtin.module if builtin else "?"
                raise UserError(f"two {self.kind}s are named {name!r}: in {first} and in {cls.__module__}")
            self._classes[name] = cls
            return cls

        return enter

    def entries(self) -> dict[str, Entry]:
        """Return every known name, built-in, by entry point, or loaded, without importing anything."""
        found = dict(self._builtins)
        for point in self._points:
            if point.name in found:
                raise UserError(
                    f"two {self.kind}s are named {point.name!r}: {found[point.name].origin} and {point.value}"
                )
            origin = point.dist.name if point.dist else "entry point"
            found[point.name] = Entry(point.name, point.value, origin, point=point)
        for name, cls in self._classes.items():
            other = found[name].point if name in found else None
            if other and other.value != f"{cls.__module__}:{cls.__qualname__}":
                raise UserError(f"two {self.kind}s are named {name!r}: in {_origin(cls)} and {other.value}")
            if name not in found:
                found[name] = Entry(name, _first_line(cls.__doc__), _origin(cls))
        return dict(sorted(found.items()))

    def names(self) -> list[str]:
        """Return all known names, sorted."""
        return list(self.entries())

    def get(self, name: str) -> type[Any]:
        """Import what is needed and return the class called ``name``; raise ``UserError`` for an unknown one."""
        if name not in self._classes:
            entry = self.entries().get(name)
            if entry is None:
                raise unknown_name(self.kind, name, self.names())
            if entry.module:
                importlib.import_module(entry.module)
            elif entry.point:
                self._load_point(entry.point)
        return self._classes[name]

    def spec(self, text: str, **more: Scalar) -> Spec:
        """Read ``name[option=value,...]``, add the options in ``more``, and check them all."""
        name, options = split_spec(text)
        return make_spec(self.kind, name, self.get(name), {**options, **more})

    def create(self, spec: Spec | str, *args: Any) -> Any:
        """Make the object that ``spec`` describes; it remembers the spec as its attribute ``spec``."""
        if isinstance(spec, str):
            spec = self.spec(spec)
        try:
            made = self.get(spec.name)(*args, **spec.options)
        except ValueError as error:
            raise UserError(f"{self.kind} {spec.label!r}: {error}") from error
        made.spec = spec
        return made

    def source_digest(self, name: str) -> str | None:
        """Return the SHA-256 of a plug-in's source file (results of an edited plug-in are new results).

        None for a built-in, whose ``version`` speaks for it.
        """
        cls = self.get(name)
        if name in self._builtins:
            return None
        file = inspect.getsourcefile(cls)
        return hashlib.sha256(_under_first_names(Path(file).read_bytes())).hexdigest() if file else None

    def _load_point(self, point: importlib.metadata.EntryPoint) -> None:
        try:
            cls = point.load()
        except Exception as error:
            raise UserError(f"the {self.kind} plug-in {point.value!r} does not import: {_one_line(error)}") from error
        if point.name not in self._classes:
            self.register(point.name)(cls)

    @functools.cached_property
    def _builtins(self) -> dict[str, Entry]:
        found: dict[str, Entry] = {}
        spec = importlib.util.find_spec(self.package)
        for folder in spec.submodule_search_locations if spec and spec.submodule_search_locations else []:
            for file in sorted(Path(folder).glob("*.py")):
                module = f"{self.package}.{file.stem}"
                for name, doc in _decorated(file, self.decorator):
                    if name in found:
                        raise UserError(f"two {self.kind}s are named {name!r}: in {found[name].module} and in {module}")
                    found[name] = Entry(name, _first_line(doc), "built-in", module=module)
        return found

    @functools.cached_property
    def _points(self) -> list[importlib.metadata.EntryPoint]:
        return list(importlib.metadata.entry_points(group=self.group))


def _under_first_names(source: bytes) -> bytes:
    """Write our modules as they were called when the first results were stored: a new name makes no new results."""
    for name, first in FIRST_NAMES.items():
        source = source.replace(name, first)
    return source


def load_plugin(path: str | Path) -> None:
    """Import a Python file so that its decorators run; raise ``UserError`` where it cannot be imported."""
    file = Path(path).resolve()
    if not file.is_file():
        raise UserError(f"plug-in file {str(path)!r} does not exist")
    name = f"bench_plugin_{file.stem}_{hashlib.sha256(str(file).encode()).hexdigest()[:8]}"
    if name in sys.modules:
        return
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise UserError(f"plug-in file {str(path)!r} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except UserError:
        del sys.modules[name]
        raise
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise UserError(f"plug-in {str(path)!r} does not import: {_one_line(error)}") from error


def _decorated(file: Path, decorator: str) -> Iterator[tuple[str, str | None]]:
    text = file.read_text(encoding="utf-8")
    if f"@{decorator}(" not in text:
        return
    for node in ast.parse(text).body:
        if not isinstance(node, ast.ClassDef):
            continue
        for mark in node.decorator_list:
            if isinstance(mark, ast.Call) and isinstance(mark.func, ast.Name) and mark.func.id == decorator:
                yield ast.literal_eval(mark.args[0]), ast.get_docstring(node)


def _first_line(doc: str | None) -> str:
    return (doc or "").strip().split("\n")[0]


def _origin(cls: type[Any]) -> str:
    module = sys.modules.get(cls.__module__)
    return getattr(module, "__file__", None) or cls.__module__


def _one_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


DEFENSES = Registry("defense", "purification_bench.defenses")
register_defense = DEFENSES.register
