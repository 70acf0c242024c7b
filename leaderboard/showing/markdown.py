"""Tables and what stands around them, in Markdown: what others wrote is inert wherever it is set."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tabulate import tabulate

from purification_bench.leaderboard.showing.table import Table
from purification_bench.leaderboard.showing.values import Text
from purification_bench.leaderboard.showing.wording import Style, written

ENTITIES = {"<": "&lt;", ">": "&gt;", "&": "&amp;"}
SPECIAL = "\\`*|~"
"""Characters that mean something wherever they stand in running text."""
BREAKS_CODE = "`|\n\r"
"""Characters that would end a code span, or the cell that it stands in."""


def escaped(words: str) -> str:
    """Return text in which no character means anything to Markdown or HTML; a line break becomes a space."""
    line = " ".join(words.splitlines())
    around = f" {line} "
    return "".join(_escaped(*around[index : index + 3]) for index in range(len(line)))


def _escaped(before: str, character: str, after: str) -> str:
    if character in ENTITIES:
        return ENTITIES[character]
    links = character == "]" and after in "([:"
    underlines = character == "_" and not (before.isalnum() and after.isalnum())
    return f"\\{character}" if character in SPECIAL or links or underlines else character


def code(words: str) -> str:
    """Return words as code: a code span, or HTML that says the same where they would break out of one."""
    if words == words.strip() != "" and not any(character in words for character in BREAKS_CODE):
        return f"`{words}`"
    line = " ".join(words.splitlines())
    return f"<code>{''.join(c if c.isalnum() else f'&#{ord(c)};' for c in line)}</code>"


STYLE = Style(plain=escaped, code=code, term=lambda words: f"*{words}*", strong=lambda words: f"**{words}**")


def prose(text: Text) -> str:
    """Return running text."""
    return written(text, STYLE)


def heading(title: str, level: int) -> str:
    """Return a heading."""
    return f"{'#' * level} {escaped(title)}"


def anchor(title: str) -> str:
    """Return the address, on its page, that GitHub gives a heading."""
    kept = "".join(c for c in title.lower() if c.isalnum() or c in " -_")
    return f"#{kept.replace(' ', '-')}"


def link(title: str) -> str:
    """Return a link to a heading of the same page."""
    return f"[{escaped(title)}]({anchor(title)})"


def folded(summary: str, *parts: str) -> str:
    """Return blocks that a reader unfolds under a line that says what they hold."""
    return "\n\n".join([f"<details>\n<summary>{escaped(summary)}</summary>", *parts, "</details>"])


def bullets(lines: Iterable[Text]) -> str:
    """Return one item a line."""
    return "\n".join(f"- {prose(line)}" for line in lines)


def fenced(lines: Sequence[str]) -> str:
    """Return lines of the shell as a block that none of them can end."""
    body, fence = "\n".join(lines), "```"
    while fence in body:
        fence += "`"
    return f"{fence}sh\n{body}\n{fence}"


def picture(caption: str, path: str) -> str:
    """Return a picture with its caption below it."""
    safe = "".join(f"%{ord(c):02X}" if c in ' ()<>"\\' else c for c in path)
    return f"![{escaped(caption)}]({safe})\n\n*{escaped(caption)}*"


def render(table: Table, level: int = 3) -> str:
    """Return a table with its heading, its note and its remarks; words are set to the left, figures to the right."""
    sides = ["left" if each.holds == "words" else "right" for each in table.headings]
    titles = [written(each.title, STYLE) for each in table.headings]
    rows = [[written(value, STYLE) for value in row] for row in table.rows]
    body = tabulate(rows, titles, tablefmt="github", disable_numparse=True, colalign=sides)
    parts = (heading(table.title, level), body, prose(table.note), bullets(table.remarks))
    return "\n\n".join(part for part in parts if part)
