"""A plain class with ``purify`` as a defense: adapted once, where it is registered."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from torch import nn

from purification_bench.defenses.base import Defense
from purification_bench.defenses.errors import UserError

DECLARED = [name for name in vars(Defense) if not name.startswith("_") and name != "forward"]
"""What a defense may define."""
_FLAGS = [name for name in DECLARED if not callable(vars(Defense)[name])]


class Holder(Defense):
    """A defense that holds an object of a plain class: ``as_defense_class`` makes one subclass of it for each."""

    plain: ClassVar[type[Any]]

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.held = self.plain(**options)


class Forwarded:
    """An attribute of a holder: asked of the plain class or, by an instance, of the object that it holds."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, holder: Holder | None, owner: type[Holder]) -> Any:
        asked = owner.plain if holder is None else holder.held
        return getattr(asked, self.name, getattr(Defense, self.name))


def as_defense_class(cls: type[Any]) -> type[Defense]:
    """Return a class as a subclass of ``Defense``: itself, or a holder that forwards just what it defines.

    Flags may be set on the class or, in its constructor, on the object. The subclass has the plain class's name,
    module and docstring, so that errors and listings name what the user wrote.

    Raises
    ------
    UserError
        If the class defines no ``purify``; or ``fit``, and has no weights that could be stored.
    """
    if getattr(cls, "purify", Defense.purify) is Defense.purify:
        raise UserError(f"defense class {cls.__qualname__!r} defines no purify(x)")
    if issubclass(cls, Defense):
        return cls
    if hasattr(cls, "fit") and not issubclass(cls, nn.Module):
        raise UserError(f"defense class {cls.__qualname__!r} defines fit: derive it from Defense, which keeps weights")
    own = {name for name in DECLARED if hasattr(cls, name)}
    body: dict[str, Any] = {name: Forwarded(name) for name in {*_FLAGS, *own}}
    body |= {"plain": cls, "__doc__": cls.__doc__, "__module__": cls.__module__, "__qualname__": cls.__qualname__}
    if cls.__init__ is not object.__init__:
        body["__init__"] = _constructor(cls)
    return type(cls.__name__, (Holder,), body)


def where_defined(defense: Defense, name: str) -> str:
    """Name the file and line of a method of a defense, in brackets; empty where there is no file."""
    method = inspect.unwrap(getattr(getattr(defense, "held", defense), name))
    code = getattr(method, "__code__", None)
    return f" ({Path(code.co_filename).name}, line {code.co_firstlineno})" if code else ""


def _constructor(cls: type[Any]) -> Callable[..., None]:
    """Return the holder's constructor, with the signature of the plain class's: its options are read from there."""

    @functools.wraps(cls.__init__)
    def construct(self: Holder, **options: Any) -> None:
        Holder.__init__(self, **options)

    return construct
