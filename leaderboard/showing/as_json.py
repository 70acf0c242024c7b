"""Tables as plain values, for programs: shares in [0, 1] and not percentages, nothing cut short."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from purification_bench.leaderboard.showing.table import Table
from purification_bench.leaderboard.showing.values import Missing, Number, Share, Size, Text, Value
from purification_bench.leaderboard.showing.wording import written

UNITS_AND_MARKS = (Number, Share, Size)
"""Values whose second field only says how they are shown."""


def document(table: Table) -> Mapping[str, Any]:
    """Return a table as JSON values: its title, the columns' names, the rows, the note and the remarks."""
    return {
        "title": table.title,
        "columns": [written(heading.title) for heading in table.headings],
        "rows": [[plain(value) for value in row] for row in table.rows],
        "note": written(table.note),
        "remarks": [written(remark) for remark in table.remarks],
    }


def plain(value: Value) -> Any:
    """Return a value as JSON has it: of one field that, of several a mapping, of what is missing None."""
    if isinstance(value, Missing) and not value.reason:
        return None
    if isinstance(value, Text):
        return written(value)
    parts = {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, Missing):
        return {"missing": value.reason}
    if isinstance(value, UNITS_AND_MARKS) or len(parts) == 1:
        return _nested(next(iter(parts.values())))
    return {name: _nested(part) for name, part in parts.items()}


def _nested(part: Any) -> Any:
    if isinstance(part, tuple):
        return [plain(item) for item in part]
    return part if isinstance(part, str | int | float) else plain(part)
