"""Tables as a terminal shows them: cut to its width, without their notes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rich import box
from rich.table import Table as RichTable
from rich.text import Text as RichText

from purification_bench.leaderboard.showing.table import Heading, Table
from purification_bench.leaderboard.showing.values import UNSAID, Value
from purification_bench.leaderboard.showing.wording import Style, written

FULL = Style(line="\n")
BRIEF = Style(line="\n", brief=True)
"""Point estimates only."""
BORDERS = 1
"""Characters that a column takes besides its cells."""
NARROWEST = 5


def rendered(table: Table, style: Style = FULL) -> RichTable:
    """Return what rich prints for a table."""
    title = RichText(table.title, style="bold")
    made = RichTable(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=0, show_edge=False)
    for heading in table.headings:
        counts = heading.holds == "figures"
        name = RichText(written(heading.title, style))
        made.add_column(name, justify="right" if counts else "left", overflow="fold", no_wrap=counts)
    for row in table.rows:
        made.add_row(*(RichText(written(value, style)) for value in row))
    return made


def pieces(table: Table, width: int, style: Style = BRIEF) -> list[Table]:
    """Cut a table into as many of ``width`` characters as it takes; each repeats the columns that name its rows."""
    kept = table.leading
    named = (_longest([row[index] for row in table.rows], style) for index in range(kept))
    room = width - sum(min(width // (1 + kept), longest) + BORDERS + 1 for longest in named)
    made: list[Table] = []
    rest = list(range(kept, len(table.headings)))
    while rest:
        taken, left = 0, room
        while taken < len(rest) and (taken == 0 or left >= _width(table, rest[taken], style)):
            left -= _width(table, rest[taken], style)
            taken += 1
        made.append(_columns(table, [*range(kept), *rest[:taken]], table.title if not made else ""))
        rest = rest[taken:]
    return made


def _columns(table: Table, shown: Sequence[int], title: str) -> Table:
    headings: list[Heading] = [table.headings[index] for index in shown]
    rows = [[row[index] for index in shown] for row in table.rows]
    return replace(table, title=title, headings=headings, rows=rows, note=UNSAID, remarks=())


def _width(table: Table, index: int, style: Style) -> int:
    column = [table.headings[index].title, *(row[index] for row in table.rows)]
    return max(NARROWEST, _longest(column, style)) + BORDERS


def _longest(values: Sequence[Value], style: Style) -> int:
    return max((len(line) for value in values for line in written(value, style).splitlines()), default=0)
