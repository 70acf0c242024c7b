"""The words for values, in a renderer's style."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import singledispatch

from purification_bench.leaderboard.judging.statistics import Estimate
from purification_bench.leaderboard.results.sizes import in_words
from purification_bench.leaderboard.showing.values import (
    Attacked,
    Count,
    Counts,
    Digest,
    Failed,
    Listing,
    Margin,
    Missing,
    Name,
    Number,
    Part,
    Points,
    PValue,
    Quantiles,
    Share,
    Size,
    Stacked,
    Tally,
    Term,
    Text,
    Unit,
    Value,
)

MISSING = "—"
SHORT_DIGEST = 12
FORMATS: dict[Unit, str] = {"%": ".1f", "ms": ".2f", "s": ".3g", "h": ".2f", "images/s": ",.0f", "MiB": ",.0f"}


@dataclass(frozen=True)
class Style:
    """How a renderer sets what others wrote, so that it is inert there."""

    plain: Callable[[str], str] = str
    code: Callable[[str], str] = str
    term: Callable[[str], str] = str
    strong: Callable[[str], str] = str
    line: str = " "
    """What stands between values one below another."""
    brief: bool = False
    """Leave intervals out."""


PLAIN = Style()


@singledispatch
def written(value: Value, style: Style = PLAIN) -> str:
    """Return the words for a value."""
    raise TypeError(f"no words for a {type(value).__name__}")


@written.register
def _(value: Missing, style: Style = PLAIN) -> str:
    return MISSING


@written.register
def _(value: Failed, style: Style = PLAIN) -> str:
    return "error"


@written.register
def _(value: Name, style: Style = PLAIN) -> str:
    return style.code(value.label)


@written.register
def _(value: Text, style: Style = PLAIN) -> str:
    return "".join(_part(part, style) for part in value.parts)


def _part(part: Part, style: Style) -> str:
    if isinstance(part, str):
        return style.plain(part)
    if isinstance(part, Name):
        return style.code(part.label)
    if isinstance(part, Term):
        return style.term(style.plain(part.words))
    return style.strong("".join(_part(inner, style) for inner in part.parts))


@written.register
def _(value: Listing, style: Style = PLAIN) -> str:
    return ", ".join(written(item, style) for item in value.items)


@written.register
def _(value: Stacked, style: Style = PLAIN) -> str:
    return style.line.join(written(item, style) for item in value.lines)


@written.register
def _(value: Digest, style: Style = PLAIN) -> str:
    return style.code(value.sha256[:SHORT_DIGEST])


@written.register
def _(value: Size, style: Style = PLAIN) -> str:
    return f"{in_words(value.eps)}{'*' if value.marked else ''}"


@written.register
def _(value: Attacked, style: Style = PLAIN) -> str:
    return f"{style.plain(value.attack)} {written(value.size, style)}"


@written.register
def _(value: Estimate, style: Style = PLAIN) -> str:
    share = f"{100 * value.value:.1f}"
    return share if style.brief else f"{share} [{100 * value.low:.1f}, {100 * value.high:.1f}]"


@written.register
def _(value: Share, style: Style = PLAIN) -> str:
    return f"{100 * value.value:.{value.decimals}f}"


@written.register
def _(value: Points, style: Style = PLAIN) -> str:
    return f"{round(100 * value.value, 1) + 0.0:+.1f}"  # not "-0.0"


@written.register
def _(value: Margin, style: Style = PLAIN) -> str:
    return f"{100 * value.value:.{0 if value.value >= 0.1 else 1}f} points"


@written.register
def _(value: Count, style: Style = PLAIN) -> str:
    return str(value.number)


@written.register
def _(value: Counts, style: Style = PLAIN) -> str:
    return f"{value.least:,}" if value.least == value.most else f"{value.least:,} to {value.most:,}"


@written.register
def _(value: Number, style: Style = PLAIN) -> str:
    return format(value.value, FORMATS[value.unit])


@written.register
def _(value: Quantiles, style: Style = PLAIN) -> str:
    return f"{written(value.p50, style)} / {written(value.p90, style)}"


@written.register
def _(value: Tally, style: Style = PLAIN) -> str:
    return f"{value.better} : {value.worse}"


@written.register
def _(value: PValue, style: Style = PLAIN) -> str:
    return "< .001" if value.p < 0.001 else f"{value.p:.3f}".removeprefix("0")
