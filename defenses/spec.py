"""A name with its options, as the command line writes it: ``cae[latent_dim=32,noise=0.1]``."""

from __future__ import annotations

import inspect
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from purification_bench.defenses.errors import UserError, unknown_name

Scalar = bool | int | float | str | None

NAME = r"[A-Za-z_][\w.-]*"
RULE = "a name is a letter, then letters, digits, _ . -"
_SPEC = re.compile(rf"^\s*({NAME})\s*(?:\[(.*)\])?\s*$")


@dataclass(frozen=True)
class Spec:
    """One registered thing and the complete options it is made with (defaults filled in)."""

    name: str
    options: Mapping[str, Scalar]
    label: str
    """The name with the options that differ from their defaults, or always show: what a table row is called."""

    def __str__(self) -> str:
        return self.label


def split_list(text: str) -> list[str]:
    """Split at the commas outside brackets: ``a[x=1,y=2],b`` gives ``a[x=1,y=2]`` and ``b``."""
    parts, depth = [""], 0
    for letter in text:
        depth += {"[": 1, "]": -1}.get(letter, 0)
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts if part.strip()]


def parse_number(text: str) -> float:
    """Read ``0.3`` or ``8/255``; raise ``UserError`` for anything else."""
    try:
        return float(Fraction(text.strip())) if "/" in text else float(text)
    except (ValueError, ZeroDivisionError):
        raise UserError(f"{text.strip()!r} is not a number; write 0.3 or 8/255") from None


def split_spec(text: str) -> tuple[str, dict[str, str]]:
    """Split ``name[key=value,...]`` into the name and the raw option texts."""
    match = _SPEC.match(text)
    if match is None:
        raise UserError(f"cannot read {text!r}; write NAME or NAME[option=value,...], where {RULE}")
    name, inner = match.groups()
    options: dict[str, str] = {}
    for part in split_list(inner or ""):
        key, equals, value = part.partition("=")
        if not equals:
            raise UserError(f"cannot read option {part!r} in {text!r}; write option=value")
        if key.strip() in options:
            raise UserError(f"option {key.strip()!r} is given twice in {text!r}")
        options[key.strip()] = value.strip()
    return name, options


def option_defaults(cls: type[Any]) -> dict[str, Any]:
    """Return the keyword-only constructor options of a class with their defaults (``inspect._empty`` if required).

    Raises ``UserError`` for an option that may be given by its place.
    """
    parameters = inspect.signature(cls).parameters.values()
    for p in parameters:
        if p.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD and p.default is not inspect.Parameter.empty:
            star = f"write def __init__(self, *, {p.name}={p.default!r})"
            raise UserError(f"options of {cls.__qualname__} must be keyword-only: {star}")
    return {p.name: p.default for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY}


def make_spec(
    kind: str, name: str, cls: type[Any], given: Mapping[str, Any], shown: frozenset[str] = frozenset()
) -> Spec:
    """Check ``given`` options (texts or JSON scalars) against the constructor of ``cls`` and fill in the defaults.

    The label holds the options that differ from their defaults, and those in ``shown``.
    """
    options = {**option_defaults(cls), **_coerced(kind, name, cls, given)}
    for key, value in options.items():
        if value is inspect.Parameter.empty:
            raise UserError(f"{kind} {name!r} needs the option {key!r}: write {name}[{key}=...]")
        if not isinstance(value, Scalar) or (isinstance(value, float) and not math.isfinite(value)):
            raise UserError(f"option {key!r} of {kind} {name!r} must be a finite JSON scalar, not {value!r}")
    return Spec(name, dict(sorted(options.items())), label_of(name, options, cls, shown))


def _coerced(kind: str, name: str, cls: type[Any], given: Mapping[str, Any]) -> dict[str, Scalar]:
    """Return the options that are given as the constructor's annotations ask for them."""
    defaults = option_defaults(cls)
    try:
        hints = get_type_hints(cls.__init__)
    except NameError:  # an annotation that exists for type checkers only
        hints = {}
    options: dict[str, Scalar] = {}
    for key, value in given.items():
        if key not in defaults:
            raise unknown_name(f"option of {kind} {name!r}:", key, defaults)
        options[key] = _coerce(f"option {key!r} of {kind} {name!r}", value, hints.get(key, Any))
    return options


def label_of(name: str, options: Mapping[str, Scalar], cls: type[Any], shown: frozenset[str]) -> str:
    """Write a name with the options that differ from their defaults, or that are in ``shown``."""
    defaults = option_defaults(cls)
    told = {key: value for key, value in options.items() if key in shown or defaults[key] != value}
    return write_spec(name, told)


def write_spec(name: str, options: Mapping[str, Scalar]) -> str:
    """Write a name with options as the command line reads it."""
    written = ",".join(f"{key}={_show(value)}" for key, value in sorted(options.items()))
    return f"{name}[{written}]" if written else name


def _show(value: Scalar) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _coerce(what: str, value: Any, hint: Any) -> Scalar:
    if get_origin(hint) is Literal:
        if value not in get_args(hint):
            raise UserError(f"{what} must be one of {', '.join(map(str, get_args(hint)))}, not {value!r}")
        return value  # type: ignore[no-any-return]
    accepted = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    if isinstance(value, str) and str not in accepted:
        value = _read_scalar(value)
    if hint is Any:
        return value if isinstance(value, bool | int | float | str | None) else str(value)
    for kind in accepted:
        if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
        if kind is int and isinstance(value, int) and not isinstance(value, bool):
            return value
        if kind in (bool, str) and isinstance(value, kind):
            return value  # type: ignore[no-any-return]
        if kind is type(None) and value is None:
            return None
    names = " or ".join("none" if k is type(None) else getattr(k, "__name__", str(k)) for k in accepted)
    raise UserError(f"{what} takes {names}, not {value!r}")


def _read_scalar(text: str) -> Any:
    if text.lower() in ("true", "false", "none", "null"):
        return {"true": True, "false": False}.get(text.lower())
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return parse_number(text)
    except UserError:
        return text
