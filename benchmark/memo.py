"""What classes of ours said when they were last asked, kept in the user's cache as long as their files are the same."""

from __future__ import annotations

import hashlib
import importlib.metadata
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from purification_bench.benchmark.paths import cache_dir
from purification_bench.defenses.described import file_of_module
from purification_bench.defenses.registry import Registry
from purification_bench.leaderboard.results.atomic import replacing

T = TypeVar("T")


class Entry(msgspec.Struct):
    """One answer, and the files that it follows from: the class's, and that of whoever asked."""

    files: dict[str, str]
    """SHA-256 of each module's file."""
    said: msgspec.Raw


class Memo:
    """Answers of built-in classes, by kind and question; what a plug-in says is asked each time."""

    def __init__(self) -> None:
        self._answers: dict[str, Entry] | None = None
        self._digests: dict[str, str] = {}
        self._is_new = False

    def recall(self, registry: Registry, name: str, question: str, kind: type[T], ask: Callable[[], T]) -> T:
        """Return what ``name`` said to a question, of type ``kind``; ask it where that is not known any more."""
        if not registry.is_builtin(name):
            return ask()
        return self._recall(f"{registry.kind} {question}", kind, ask, lambda: _modules(registry.get(name)))

    def of_machine(self, question: str, kind: type[T], ask: Callable[[], T]) -> T:
        """Return what torch, as it is installed, says of this machine."""
        return self._recall(f"torch {importlib.metadata.version('torch')} {question}", kind, ask, list)

    def save(self) -> None:
        """Keep what was learnt; a cache that cannot be written costs time and nothing else."""
        if not self._is_new:
            return
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with replacing(self._file) as partial:
                partial.write_bytes(msgspec.json.encode(self._known))
        except OSError:
            return
        self._is_new = False

    def _recall(self, place: str, kind: type[T], ask: Callable[[], T], modules: Callable[[], list[str]]) -> T:
        known = self._known.get(place)
        if known is not None and all(self._digest(module) == digest for module, digest in known.files.items()):
            return msgspec.json.decode(known.said, type=kind)
        answer = ask()
        files = {module: self._digest(module) for module in (*modules(), ask.__module__)}
        self._known[place] = Entry(files, msgspec.Raw(msgspec.json.encode(answer)))
        self._is_new = True
        return answer

    @property
    def _file(self) -> Path:
        return cache_dir() / "facts.json"

    @property
    def _known(self) -> dict[str, Entry]:
        if self._answers is None:
            self._answers = self._read()
        return self._answers

    def _read(self) -> dict[str, Entry]:
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=dict[str, Entry])
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return {}

    def _digest(self, module: str) -> str:
        if module not in self._digests:
            file = file_of_module(module)
            self._digests[module] = hashlib.sha256(file.read_bytes()).hexdigest() if file else ""
        return self._digests[module]


def _modules(cls: type[Any]) -> list[str]:
    """Return the modules of ours that a class and its bases are written in."""
    package = __package__.partition(".")[0]
    return sorted({base.__module__ for base in cls.__mro__ if base.__module__.startswith(package)})


MEMO = Memo()
