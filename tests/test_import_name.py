"""One import name: folders that happen to be called as ours are do not get in the way."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(sys.executable).with_name("bench")
OURS = ("attacks", "benchmark", "defenses", "leaderboard")


@pytest.fixture
def crowded(tmp_path) -> Path:
    """A folder with packages of the same names as ours, which refuse to be imported."""
    for name in OURS:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError('a stranger was imported')\n")
    return tmp_path


@pytest.mark.parametrize("path", [None, "."], ids=["plain", "PYTHONPATH=."])
def test_it_is_imported_and_runs_beside_folders_of_the_same_names(crowded, path):
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if path:
        environment["PYTHONPATH"] = path
    code = "import purification_bench as p; print(p.register_defense.__name__, p.register_attack.__name__)"

    def said(*command: str | Path) -> str:
        run = subprocess.run(command, cwd=crowded, env=environment, check=True, capture_output=True, text=True)
        return run.stdout

    assert said(sys.executable, "-c", code) == "register register\n"
    assert said(BENCH, "list", "defenses").startswith("abs")
    words = ("--defenses", "none", "--attacks", "noise", "--threat", "graybox", "-n", "8", "--no-latency")
    assert "cells computed" in said(BENCH, "run", *words)


def test_a_new_file_is_seen_without_an_install():
    import purification_bench

    folder = Path(purification_bench.__file__).resolve().parent
    assert folder == Path(__file__).resolve().parent.parent
