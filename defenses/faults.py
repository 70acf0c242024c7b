"""What somebody else's code may raise, and what a result keeps of it."""

from __future__ import annotations

import sysconfig
import textwrap
import traceback
from pathlib import Path

FAULTS = (Exception, SystemExit)
"""What fails a cell and nothing else; Ctrl-C ends the run."""
LONGEST = 200
"""Characters of a row's reason; the lines below it hold the whole message."""
FRAMES = 10
"""Frames of a traceback that are kept, the innermost."""
ROOT = Path(__file__).resolve().parents[1]
NOT_THEIRS = (
    *(ROOT / folder for folder in ("attacks", "benchmark", "defenses", "leaderboard")),
    *(Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "purelib", "platlib")),
)
"""Where code lies that a plug-in's author did not write."""


def reason(error: BaseException) -> str:
    """Return the first line of what is told of an exception."""
    return told(error).splitlines()[0]


def told(error: BaseException, when: str = "") -> str:
    """Return what is kept of an exception: a line that says what and where, the message, and the calls that led there.

    Files are named without their folders, which are the machine's own.
    """
    frames = traceback.extract_tb(error.__traceback__)[-FRAMES:]
    what, message = type(error).__name__ + when, " ".join(str(error).split())
    line = f"{textwrap.shorten(f'{what}: {message}', LONGEST, placeholder='…')}{_place(frames)}"
    calls = [f"  {Path(f.filename).name}, line {f.lineno}, in {f.name}: {f.line}" for f in frames]
    return "\n".join([line, *calls, f"{what}: {message}"] if frames else [line])


def _place(frames: list[traceback.FrameSummary]) -> str:
    """Name the innermost line that a plug-in's author wrote; of our own code nothing is said."""
    theirs = [frame for frame in frames if not _is_known(frame.filename)]
    return f" ({Path(theirs[-1].filename).name}, line {theirs[-1].lineno})" if theirs else ""


def _is_known(name: str) -> bool:
    generated = name.startswith("<")  # as <frozen importlib._bootstrap>
    return generated or any(Path(name).resolve().is_relative_to(folder) for folder in NOT_THEIRS)
