"""Sizes of attacks as a configuration writes them: ``0.3``, ``"8/255"``, ``"mark"``, ``"mark/3"``."""

from __future__ import annotations

import math
from collections.abc import Iterable
from fractions import Fraction
from typing import Annotated

from msgspec import Meta

from purification_bench.defenses.errors import UserError
from purification_bench.defenses.spec import parse_number

Size = float | str
"""In pixel units; or as a word, the dataset's mark (the size that defenses are ranked at) or a share of it."""
Sizes = Annotated[tuple[Size, ...], Meta(min_length=1, description="a list of sizes")]
MARK = "mark"


def read(sizes: Iterable[Size], source: str) -> tuple[Size, ...]:
    """Return sizes as numbers, and shares of the mark as they are; a size that is named twice is one."""
    return tuple(dict.fromkeys(_read(size, source) for size in sizes))


def in_pixels(sizes: Iterable[Size], mark: float) -> tuple[float, ...]:
    """Return sizes in pixel units, on a dataset with this mark."""
    return tuple(dict.fromkeys(_number(size, mark) for size in sizes))


def _read(size: Size, source: str) -> Size:
    try:
        number = _number(size, mark=1.0)
    except (ValueError, ArithmeticError):
        number = math.nan
    if not (math.isfinite(number) and number >= 0):
        valid = "sizes that are not negative, such as 0.3, 8/255, mark or mark/3"
        raise UserError(f"eps in {source} must be {valid}, not {size!r}")
    return size if _is_share(size) else number


def _is_share(size: Size) -> bool:
    return isinstance(size, str) and size.partition("/")[0] == MARK


def _number(size: Size, mark: float) -> float:
    """Return a size in pixel units; a share of the mark as decimals have it: a third of .3 is .1."""
    if not isinstance(size, str):
        return size
    if size == MARK:
        return mark
    if not _is_share(size):
        return parse_number(size)
    return float(_fraction(mark) / _fraction(parse_number(size.partition("/")[2])))


def _fraction(number: float) -> Fraction:
    """Return a number as it is written, not as its bits are; raise ``ValueError`` where it is not finite."""
    return Fraction(repr(float(number)))
