"""The command lines that result folders remember."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

from purification_bench.defenses.errors import UserError
from purification_bench.leaderboard.results.store import REPRODUCTION, Store
from purification_bench.leaderboard.showing import page_parts


def command_line(command: str, args: argparse.Namespace, *words: object) -> str:
    """Return a command line without what is this machine's own: where things lie, and how it was watched.

    ``words`` are the positional arguments; of a file outside the working folder only the name is given. The parser
    says which flags count (``args.recorded``).
    """
    parts = [shlex.quote(_named(word)) for word in words]
    parts += [f"--plugin {shlex.quote(_named(Path(file)))}" for file in args.plugin]
    for flag, name in args.recorded:
        value = getattr(args, name)
        if value is True:
            parts.append(flag)
        elif value not in (None, False):
            parts.append(f"{flag} {shlex.quote(_named(value))}")
    return " ".join(["bench", command, *parts])


def refuse_foreign(store: Store, command: str) -> None:
    """Raise an error, before anything is computed, where a folder's page is not one that ``command`` writes.

    ``StoreError`` where bench did not write it; ``UserError`` where it is the seed paper's, or another than it.
    """
    page_parts.refuse_foreign(store.root / "README.md", store)
    theirs = store.kind == REPRODUCTION
    if store.commands() and theirs != (command == "reproduce"):
        holds = "bench reproduce" if theirs else "other commands"
        raise UserError(f"--out {str(store.root)!r} holds the results of {holds}: give another folder")


def _named(value: object) -> str:
    if not isinstance(value, Path):
        return str(value)
    return value.name if value.is_absolute() or ".." in value.parts else value.as_posix()
