"""What the pages of stores have in common: how one was computed, its endings, its file."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from purification_bench.leaderboard.results.atomic import replacing
from purification_bench.leaderboard.results.errors import StoreError
from purification_bench.leaderboard.results.result import Result
from purification_bench.leaderboard.results.store import Store
from purification_bench.leaderboard.showing import markdown
from purification_bench.leaderboard.showing.tables.failures import failures
from purification_bench.leaderboard.showing.values import Name, text

WRITTEN = "<!-- Written by bench"
HEAD = f"{WRITTEN}: a change made here is lost. A file about.md beside the results heads the page. -->"


def endings(results: Iterable[Result], commands: Sequence[str], set_aside: Sequence[tuple[Path, str]]) -> list[str]:
    """Return the last sections of a page: what failed, how it is made again, which files could not be read, and why.

    Those are empty of which there is nothing to say.
    """
    failed = failures(results)
    unreadable = [text(Name(path.name), f": {reason}") for path, reason in set_aside]
    return [
        markdown.render(failed, level=2) if failed else "",
        f"## Reproduce\n\n{markdown.fenced(commands)}" if commands else "",
        f"## Set aside\n\n{markdown.bullets(unreadable)}" if unreadable else "",
    ]


def link(path: Path, page: Path) -> str:
    """Return a path as a page links to it."""
    return Path(os.path.relpath(path, page.parent)).as_posix()


def joined(parts: Iterable[str]) -> str:
    """Return a page of those parts that are not empty."""
    return "\n\n".join(part for part in parts if part) + "\n"


def refuse_foreign(page: Path, store: Store) -> None:
    """Raise ``StoreError`` where a page would overwrite one that bench did not write.

    Earlier versions left no line that says so: the ``README.md`` of a folder that bench filled is its own.
    """
    its_own = page == store.root / "README.md" and store.commands()
    if page.is_file() and not its_own and not page.read_text(encoding="utf-8", errors="replace").startswith(WRITTEN):
        raise StoreError(f"bench did not write {str(page)!r}, and would overwrite it: give another folder or page")


def write(page: Path, parts: Iterable[str]) -> None:
    """Write a page in one step, under the line that says who wrote it."""
    page.parent.mkdir(parents=True, exist_ok=True)
    with replacing(page) as partial:
        partial.write_text(joined([HEAD, *parts]), encoding="utf-8")
