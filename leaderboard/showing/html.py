"""Tables in HTML, for notebooks: what others wrote is inert wherever it is set."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from purification_bench.leaderboard.showing.table import Table
from purification_bench.leaderboard.showing.values import Value
from purification_bench.leaderboard.showing.wording import Style, written

STYLE = Style(
    plain=escape,
    code=lambda words: f"<code>{escape(words)}</code>",
    term=lambda words: f"<em>{words}</em>",
    strong=lambda words: f"<strong>{words}</strong>",
    line="<br>",
)


def rendered(table: Table) -> str:
    """Return a table with its title as caption; figures stand at the right."""
    sides = ["left" if heading.holds == "words" else "right" for heading in table.headings]
    head = _cells("th", [heading.title for heading in table.headings], sides)
    body = [_cells("td", row, sides) for row in table.rows]
    rows = "\n".join(f"<tr>{cells}</tr>" for cells in (head, *body))
    return f"<table>\n<caption>{escape(table.title)}</caption>\n{rows}\n</table>"


def _cells(tag: str, values: Sequence[Value], sides: Sequence[str]) -> str:
    each = zip(values, sides, strict=True)
    return "".join(f'<{tag} style="text-align:{side}">{written(value, STYLE)}</{tag}>' for value, side in each)
