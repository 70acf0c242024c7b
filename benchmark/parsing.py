"""A parser whose mistakes are one line, and the kinds of words that its flags take."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

from purification_bench.defenses.errors import UserError, unknown_name

CHOICE = re.compile(r"argument (.+): invalid choice: '(.*)' \(choose from (.*)\)")


class Parser(argparse.ArgumentParser):
    """A parser whose mistakes are one line, and that knows which of its flags say what was computed."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.recorded: list[tuple[str, str]] = []
        self.set_defaults(recorded=self.recorded)

    def add_recorded(self, flag: str, **options: Any) -> None:
        """Add a flag that result folders remember: with it the same command computes the same."""
        self.recorded.append((flag, self.add_argument(flag, **options).dest))

    def error(self, message: str) -> NoReturn:
        """Raise ``UserError``: with argparse's sentence, or, for a word that is no choice, with the nearest one."""
        wrong = CHOICE.fullmatch(message)
        if wrong is None:
            raise UserError(message)
        what, word, choices = wrong.groups()
        raise unknown_name(what, word, (choice.strip(" '") for choice in choices.split(",")))


Commands: TypeAlias = "argparse._SubParsersAction[Parser]"


def path(text: str) -> Path:
    """Return a path; an empty one, which would be the working folder, is a slip."""
    if not text.strip():
        raise argparse.ArgumentTypeError("needs a path, not ''")
    return Path(text)


def some(text: str) -> str:
    """Return a list of names; one without any is a slip."""
    if not text.strip(" ,"):
        raise argparse.ArgumentTypeError(f"names nothing: {text!r}")
    return text


def named_file(text: str) -> str:
    """Return a file's name as it is given."""
    path(text)
    return text


def folder(text: str) -> Path:
    """Return a folder that is there."""
    if not (found := path(text)).is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} is not a folder")
    return found


def new_folder(text: str) -> Path:
    """Return a folder that may be made; one with a file's ending is a slip."""
    if (found := path(text)).suffix == ".npz":
        raise argparse.ArgumentTypeError(f"{text!r} names a file: a folder takes one file for each set")
    return found
