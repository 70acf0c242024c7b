"""What a value of a configuration may be: types that msgspec checks, and the words that an error says it in."""

from __future__ import annotations

from typing import Annotated, Any, get_args

import msgspec
from msgspec import Meta

from purification_bench.defenses.errors import UserError

MAX_DRAWS = 255
"""Successes over draws are counted in a byte."""

Whole = Annotated[int, Meta(description="a whole number")]
Count = Annotated[int, Meta(ge=1, description="a whole number of at least 1")]
Draws = Annotated[int, Meta(ge=1, le=MAX_DRAWS, description=f"a whole number of at least 1 and at most {MAX_DRAWS}")]
YesNo = Annotated[bool, Meta(description="true or false")]
Word = Annotated[str, Meta(description="a word")]
Names = Annotated[tuple[str, ...], Meta(description="a list of names")]
SomeNames = Annotated[tuple[str, ...], Meta(min_length=1, description="a list of at least one name")]
Options = Annotated[dict[str, bool | int | float | str], Meta(description="a table of options")]
Tables = Annotated[list[dict[str, Any]], Meta(description="tables, [[override]]")]


def checked(key: str, value: Any, kind: Any, source: str) -> Any:
    """Return ``value`` as one of ``kind``, a type of this module or such a type or None; no other is made to fit."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError:
        raise UserError(f"{key} in {source} must be {_in_words(kind)}, not {value!r}") from None


def _in_words(kind: Any) -> str:
    """Return the description that a type, or one of the types that it unites, comes with."""
    described = [meta for part in (kind, *get_args(kind)) for meta in getattr(part, "__metadata__", ())]
    return str(described[0].description)
