"""A table: typed columns over rows of values."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from purification_bench.leaderboard.showing.values import UNSAID, Text, Value, text


@dataclass(frozen=True)
class Heading:
    """What a column is called, and what it holds."""

    title: Value
    holds: Literal["words", "figures"]


@dataclass(frozen=True)
class Table:
    """A title, columns, rows of values, and what must be said of them."""

    title: str
    headings: Sequence[Heading]
    rows: Sequence[Sequence[Value]]
    """Each with a value for each heading."""
    note: Text = UNSAID
    remarks: Sequence[Text] = ()
    """One line each, below the note."""

    @property
    def leading(self) -> int:
        """How many columns of words come before the first of figures: they say which row this is."""
        return sum(1 for _ in itertools.takewhile(lambda heading: heading.holds == "words", self.headings))


def words(*titles: str | Value) -> list[Heading]:
    """Return columns that hold words."""
    return [Heading(_title(title), "words") for title in titles]


def figures(*titles: str | Value) -> list[Heading]:
    """Return columns that hold figures."""
    return [Heading(_title(title), "figures") for title in titles]


def _title(title: str | Value) -> Value:
    return text(title) if isinstance(title, str) else title
