"""A directory of results: one JSON file a cell, written whole or not at all."""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from purification_bench.leaderboard.results.atomic import clear_leftovers, replacing
from purification_bench.leaderboard.results.certificate import Certificate
from purification_bench.leaderboard.results.errors import LaterSchemaError, ResultError, StoreError
from purification_bench.leaderboard.results.result import Result

T = TypeVar("T")
CORRUPT = ".corrupt"
EXAMPLES = ("clean", "adversarial", "purified")
CLASSES = ("labels", "clean_classes", "adversarial_classes", "purified_classes")
"""Of the example images: what they show, and what the classifier sees in each kind. Earlier versions kept none."""
LEADERBOARD, REPRODUCTION = "leaderboard", "reproduction"
"""Kinds of stores."""


class Store:
    """The results under ``root``: ``cells/``, ``examples/`` (gallery), ``adversarial/`` (x_adv), ``commands.txt``.

    Where something was certified, ``certificates/``, too.

    An ``about.md`` that somebody puts there heads the page instead of its title.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.cells = root / "cells"
        self.examples = root / "examples"
        self.adversarial = root / "adversarial"
        self._certificates = root / "certificates"
        self._commands = root / "commands.txt"
        self.writing = False
        self._known: dict[Path, tuple[tuple[int, ...], Result]] = {}
        self.set_aside: list[tuple[Path, str]] = []
        """Files that could not be read in this process, and why."""

    def prepare(self) -> None:
        """Make the folders and clear what a killed run left half-written; raise ``StoreError`` if that cannot be."""
        try:
            for folder in (self.cells, self.examples, self.adversarial):
                folder.mkdir(parents=True, exist_ok=True)
                clear_leftovers(folder)
            with replacing(self.cells / "probe") as partial:
                partial.write_text("", encoding="utf-8")
            (self.cells / "probe").unlink()
        except OSError as error:
            raise StoreError(f"--out {str(self.root)!r} cannot be written: {error.strerror or error}") from error
        self.writing = True

    def record_command(self, command: str) -> None:
        """Remember a command that computed something here, once."""
        if command not in self.commands():
            with self._commands.open("a", encoding="utf-8") as stream:
                stream.write(command + "\n")

    def commands(self) -> list[str]:
        """Return the commands that filled this store, in the order they were first given."""
        return self._commands.read_text(encoding="utf-8").splitlines() if self._commands.is_file() else []

    @property
    def kind(self) -> str:
        """``reproduction`` where ``bench reproduce`` filled this store and nothing else did, else ``leaderboard``."""
        given = {tuple(line.split()[:2]) for line in self.commands()}
        return REPRODUCTION if given == {("bench", "reproduce")} else LEADERBOARD

    def about(self) -> str:
        """Return what its owner says of this store; empty where nothing is said."""
        said = self.root / "about.md"
        return said.read_text(encoding="utf-8").strip() if said.is_file() else ""

    def changed(self) -> float:
        """Return when the newest file was written that the page follows from, in seconds as files have them."""
        kept = (*self.cells.glob("*.json"), *self._certificates.glob("*.json"))
        own = [file for file in (self._commands, self.root / "about.md") if file.is_file()]
        return max((file.stat().st_mtime for file in (*kept, *own)), default=math.inf)

    def put(self, result: Result, examples: Mapping[str, NDArray[Any]] | None = None) -> Path:
        """File a result under its key, in one step."""
        if examples:
            path = self.examples / f"{result.key[:16]}.npz"
            with replacing(path) as partial, partial.open("wb") as stream:
                np.savez_compressed(stream, **examples)  # type: ignore[arg-type]
        path = self.cells / file_name(result.identity, result.key)
        with replacing(path) as partial:
            partial.write_text(result.dumps(), encoding="utf-8")
        return path

    def get(self, identity: Mapping[str, Any], key: str) -> Result | None:
        """Return the stored result of a cell; None where there is none, or only one that cannot be read.

        Raises ``StoreError`` where a later version wrote it: whoever computed it anew would write it over.
        """
        return self._one(self.cells / file_name(identity, key), self._read)

    def results(self) -> Iterator[Result]:
        """Yield every readable result, in the order of file names."""
        if not self.cells.is_dir():
            raise StoreError(f"{str(self.root)!r} holds no results: there is no folder {str(self.cells)!r}")
        yield from self._each(self.cells, self._read)

    def examples_of(self, result: Result) -> dict[str, NDArray[Any]] | None:
        """Return the example images kept for a result, each ``(k, C, H, W)``, and their ``CLASSES``, each ``(k,)``.

        None where there are none.
        """
        path = self.examples / f"{result.key[:16]}.npz"
        if not path.is_file():
            return None
        try:
            with np.load(path, allow_pickle=False) as stored:
                kept = {name: stored[name] for name in EXAMPLES}
                return kept | {name: stored[name] for name in CLASSES if name in stored}
        except (ValueError, KeyError, OSError, EOFError, BadZipFile, zlib.error) as error:
            self.put_aside(path, str(error))
            return None

    def certify(self, certificate: Certificate) -> None:
        """File a certificate under its key, in one step."""
        self._certificates.mkdir(exist_ok=True)
        clear_leftovers(self._certificates)
        with replacing(self._certificates / f"{certificate.key[:16]}.json") as partial:
            partial.write_text(certificate.dumps(), encoding="utf-8")

    def certificate(self, key: str) -> Certificate | None:
        """Return the stored certificate of a key; None where there is none, or only one that cannot be read.

        Raises ``StoreError`` where a later version wrote it.
        """
        return self._one(self._certificates / f"{key[:16]}.json", self._read_certificate)

    def certificates(self) -> Iterator[Certificate]:
        """Yield every readable certificate, in the order of file names."""
        yield from self._each(self._certificates, self._read_certificate)

    def _one(self, path: Path, read: Callable[[Path], T | None]) -> T | None:
        """Read a file if it is there; raise ``StoreError`` where a later version wrote it."""
        try:
            return read(path) if path.is_file() else None
        except LaterSchemaError as error:
            raise StoreError(f"{path}: {error}") from error

    def _each(self, folder: Path, read: Callable[[Path], T | None]) -> Iterator[T]:
        """Read every file of a folder; one that a later version wrote is passed over, and remembered."""
        for path in sorted(folder.glob("*.json")):
            try:
                found = read(path)
            except LaterSchemaError as error:
                self._remember(path, str(error))
                continue
            if found is not None:
                yield found

    def _read_certificate(self, path: Path) -> Certificate | None:
        try:
            return Certificate.loads(path.read_text(encoding="utf-8"))
        except (ResultError, UnicodeDecodeError) as error:
            self.put_aside(path, str(error))
            return None

    def put_aside(self, path: Path, reason: str) -> None:
        """Remember a file that cannot be read, and why; a store that is written renames it, so that it is not lost."""
        aside = path.with_name(path.name + CORRUPT)
        if self.writing:
            path.replace(aside)
        self._remember(aside if self.writing else path, reason)

    def _remember(self, path: Path, reason: str) -> None:
        """Take note of a file once, however often it is met."""
        if (path, reason) not in self.set_aside:
            self.set_aside.append((path, reason))

    def _read(self, path: Path) -> Result | None:
        """Read a result, or remember it from the last time, if its file has not changed."""
        status = path.stat()
        state = (status.st_mtime_ns, status.st_size, status.st_ino)
        known = self._known.get(path)
        if known is not None and known[0] == state:
            return known[1]
        try:
            result = Result.loads(path.read_text(encoding="utf-8"))
            self._known[path] = state, result
            return result
        except (ResultError, UnicodeDecodeError) as error:
            self.put_aside(path, str(error))
            return None


def file_name(identity: Mapping[str, Any], key: str) -> str:
    """Return a cell's file name: readable, and unique by the key's first 16 digits."""
    attack = identity.get("attack")
    what = f"{attack['label']}-{attack['threat']['eps']:g}" if attack else "clean"
    if identity["kind"] == "latency":
        what = "latency"
    words = [identity["dataset"]["label"], identity["classifier"]["label"], identity["defense"]["label"], what]
    return f"{file_stem(words)[:120]}-{key[:16]}.json"


def file_stem(words: Iterable[object]) -> str:
    """Join words into a file name, without what a file system may not like."""
    return "-".join(re.sub(r"[^\w.]+", "_", str(word)).strip("_") for word in words)
