"""What a cell of a table can hold: values, with what is known of them. The words are the renderers'."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias, TypeVar

from purification_bench.leaderboard.judging.statistics import Estimate

Unit = Literal["ms", "s", "h", "images/s", "MiB", "%"]


@dataclass(frozen=True)
class Missing:
    """Nothing was measured here."""

    reason: str = ""


@dataclass(frozen=True)
class Failed:
    """A cell that raised an error."""

    error: str = ""


@dataclass(frozen=True)
class Name:
    """What is typed as it stands: the label of a defense or an attack, a command, a word of the code."""

    label: str


@dataclass(frozen=True)
class Term:
    """A word that a text explains, or that is meant as a word."""

    words: str


@dataclass(frozen=True)
class Strong:
    """A warning within a text."""

    parts: tuple[str | Name, ...]


Part: TypeAlias = str | Name | Term | Strong


@dataclass(frozen=True)
class Text:
    """Running text: plain words, and names and terms among them."""

    parts: tuple[Part, ...] = ()


UNSAID = Text()


@dataclass(frozen=True)
class Listing:
    """Several values in a row."""

    items: tuple[Value, ...]


@dataclass(frozen=True)
class Stacked:
    """Values one below another, where there is room for lines."""

    lines: tuple[Value, ...]


@dataclass(frozen=True)
class Digest:
    """The SHA-256 of a file, in hexadecimal."""

    sha256: str


@dataclass(frozen=True)
class Size:
    """The size of an attack, in pixel units."""

    eps: float
    marked: bool = False
    """The table's note says something of this size."""


@dataclass(frozen=True)
class Attacked:
    """An attack at one size."""

    attack: str
    size: Size


@dataclass(frozen=True)
class Share:
    """A share of images in [0, 1] whose interval is not known."""

    value: float
    decimals: int = 1
    """Of the percentage: as many as it was given with."""


@dataclass(frozen=True)
class Points:
    """One share less another."""

    value: float


@dataclass(frozen=True)
class Margin:
    """How far apart two shares must be: a difference without a sign."""

    value: float


@dataclass(frozen=True)
class Count:
    """A whole number."""

    number: int


@dataclass(frozen=True)
class Counts:
    """A whole number that may differ from cell to cell: the least and the most."""

    least: int
    most: int


@dataclass(frozen=True)
class Number:
    """A measured quantity."""

    value: float
    unit: Unit


@dataclass(frozen=True)
class Quantiles:
    """The median and the 90th percentile of a measured quantity."""

    p50: Number
    p90: Number


@dataclass(frozen=True)
class Tally:
    """Images on which the first does better, and those on which the second does."""

    better: int
    worse: int


@dataclass(frozen=True)
class PValue:
    """The p-value of a test."""

    p: float


Value: TypeAlias = (
    Missing
    | Failed
    | Name
    | Text
    | Listing
    | Stacked
    | Digest
    | Size
    | Attacked
    | Estimate
    | Share
    | Points
    | Margin
    | Count
    | Counts
    | Number
    | Quantiles
    | Tally
    | PValue
)
"""A share of images with its interval is an ``Estimate``."""

V = TypeVar("V")


def known(value: V | None, reason: str = "") -> V | Missing:
    """Return a value, or that it is missing, and why."""
    return Missing(reason) if value is None else value


def text(*parts: Part) -> Text:
    """Put a text together from its parts."""
    return Text(parts)


def listing(items: Iterable[Value]) -> Listing | Missing:
    """Return values in a row; missing, where there are none."""
    kept = tuple(items)
    return Listing(kept) if kept else Missing()


def spaced(texts: Iterable[Text]) -> Text:
    """Put sentences one after another; empty ones are left out."""
    parts: list[Part] = []
    for each in texts:
        parts += [" ", *each.parts] if parts and each.parts else each.parts
    return Text(tuple(parts))


def names(labels: Iterable[str]) -> tuple[str | Name, ...]:
    """Return names as parts of a text, with commas between them."""
    parts: list[str | Name] = []
    for label in labels:
        parts += [", ", Name(label)] if parts else [Name(label)]
    return tuple(parts)
