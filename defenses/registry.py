"""One registry type for defenses, attacks, classifiers and datasets: the decorator is the list.

A built-in is found by reading the source files for the decorator, without importing them, so that listing names costs
milliseconds and needs no torch. A plug-in is found by entry point, or in a file that the user names.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.metadata
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from purification_bench.defenses.errors import UserError, unknown_name
from purification_bench.defenses.plugins import load_point
from purification_bench.defenses.sources import digest_of_source, first_line, registrations
from purification_bench.defenses.spec import Scalar, Spec, make_spec, split_spec

C = TypeVar("C", bound=type[Any])


@dataclass(frozen=True)
class Entry:
    """What is known of a registered name without importing it."""

    name: str
    summary: str
    provider: str
    """``built-in``, the distribution that ships it, or the file it was loaded from."""
    module: str | None = None
    """Of a built-in: where its class is ..."""
    cls: str = ""
    """... and what that is called."""
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
        self.group = f"purification_bench.{kind}s"
        self._registered: dict[str, type[Any]] = {}
        self._classes: dict[str, type[Any]] = {}
        """What is made of each: other than what was registered where that had to be adapted."""

    def register(self, name: str) -> Callable[[C], C]:
        """Return the class decorator that enters a class under ``name``; a second class of that name raises."""

        def enter(cls: C) -> C:
            known, builtin = self._registered.get(name), self._builtins.get(name)
            if builtin and builtin.module != cls.__module__:
                raise self._twice(name, str(builtin.module), _file_of(cls))
            again = known is not None and _is_again(known, cls)
            if known is not None and known is not cls and not again:
                raise self._twice(name, _file_of(known), _file_of(cls))
            if known is None or again:
                self._registered[name], self._classes[name] = cls, self.admitted(cls)
            return cls

        return enter

    @contextlib.contextmanager
    def lent(self, name: str, cls: type[Any]) -> Iterator[None]:
        """Know a class under ``name`` for a while; raise ``UserError`` where the name is taken."""
        if name in self.names():
            raise UserError(f"there is a {self.kind} {name!r} already: give this one another name")
        self._classes[name] = cls
        try:
            yield
        finally:
            del self._classes[name]

    def admitted(self, cls: type[Any]) -> type[Any]:
        """Return what is entered for a class that is registered: the class itself."""
        return cls

    def shown_options(self, cls: type[Any]) -> frozenset[str]:
        """Return the options that labels of a class always hold: none."""
        return frozenset()

    def entries(self) -> dict[str, Entry]:
        """Return every known name, built-in, by entry point, or loaded, without importing anything."""
        known = dict(self._builtins)
        for point in self._points:
            if point.name in known:
                raise self._twice(point.name, known[point.name].provider, point.value)
            provider = point.dist.name if point.dist else "entry point"
            known[point.name] = Entry(point.name, point.value, provider, point=point)
        for name, cls in self._classes.items():
            entry = known.setdefault(name, Entry(name, first_line(cls.__doc__), _file_of(cls)))
            if entry.point and entry.point.value != f"{cls.__module__}:{cls.__qualname__}":
                raise self._twice(name, _file_of(cls), entry.point.value)
        return dict(sorted(known.items()))

    def names(self) -> list[str]:
        """Return all known names, sorted."""
        return list(self.entries())

    def is_builtin(self, name: str) -> bool:
        """Say whether a name is one of ours."""
        return name in self._builtins

    def get(self, name: str) -> type[Any]:
        """Import what is needed and return the class called ``name``; raise ``UserError`` for an unknown one."""
        if name not in self._classes:
            entry = self.entries().get(name)
            if entry is None:
                raise UserError(f"{unknown_name(self.kind, name, self.names())}; one of a plug-in needs --plugin FILE")
            if entry.module:
                importlib.import_module(entry.module)
            elif entry.point:
                cls = load_point(self.kind, entry.point)
                if name not in self._classes:
                    self.register(name)(cls)
        return self._classes[name]

    def spec(self, text: str, **more: Scalar) -> Spec:
        """Read ``name[option=value,...]``, add the options in ``more``, and check them all."""
        name, options = split_spec(text)
        cls = self.get(name)
        return make_spec(self.kind, name, cls, {**options, **more}, self.shown_options(cls))

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
        digest: str = getattr(cls, "source_digest", None) or digest_of_source(cls)
        return digest

    @functools.cached_property
    def _builtins(self) -> dict[str, Entry]:
        builtins: dict[str, Entry] = {}
        for name, module, cls, summary in registrations(self.package, f"register_{self.kind}"):
            if name in builtins:
                raise self._twice(name, str(builtins[name].module), module)
            builtins[name] = Entry(name, summary, "built-in", module=module, cls=cls)
        return builtins

    @functools.cached_property
    def _points(self) -> list[importlib.metadata.EntryPoint]:
        return list(importlib.metadata.entry_points(group=self.group))

    def _twice(self, name: str, first: str, second: str) -> UserError:
        return UserError(f"two {self.kind}s are named {name!r}: in {first} and in {second}")


class DefenseRegistry(Registry):
    """The registry of defenses: whatever is registered, each of its classes is a ``Defense``."""

    def admitted(self, cls: type[Any]) -> type[Any]:
        """Return a plain class with ``purify`` as a subclass of ``Defense``."""
        from purification_bench.defenses.plain import as_defense_class

        return as_defense_class(cls)

    def shown_options(self, cls: type[Any]) -> frozenset[str]:
        """Return the options that the class says a row's name must hold."""
        shown: frozenset[str] = cls.shown_options
        return shown


def _is_again(known: type[Any], cls: type[Any]) -> bool:
    """Say whether a class is one that a notebook's cell, run again, has defined anew."""
    return cls.__module__ == "__main__" and (known.__module__, known.__qualname__) == ("__main__", cls.__qualname__)


def _file_of(cls: type[Any]) -> str:
    module = sys.modules.get(cls.__module__)
    return getattr(module, "__file__", None) or cls.__module__


DEFENSES = DefenseRegistry("defense", "purification_bench.defenses")
register_defense = DEFENSES.register
