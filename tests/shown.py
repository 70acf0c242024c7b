"""Tables as words, for tests that read them."""

from __future__ import annotations

from purification_bench.leaderboard.showing.wording import written


def headers(table) -> list[str]:
    return [written(heading.title) for heading in table.headings]


def rows(table) -> list[list[str]]:
    return [[written(value) for value in row] for row in table.rows]


def column(table, header, row=0) -> str:
    return rows(table)[row][headers(table).index(header)]


def note(table) -> str:
    return "\n".join(map(written, [table.note, *table.remarks]))
