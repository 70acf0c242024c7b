"""A dry run says what would run, and how long it would take, from names and published timings alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from purification_bench.benchmark.run import presets

LIMIT_SECONDS, LIMIT_MIB = 3.0, 700
COMMANDS = [("reproduce",), ("reproduce", "-n", "100")] + [
    ("run", "--preset", name) for name in presets.names() if name not in ("audit", "mandal2023")
]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_it_is_quick_and_small(words, tmp_path):
    """In processor seconds: a shared machine's clock says little. torch alone is most of both."""
    code = (
        "import resource, sys; from purification_bench.benchmark import cli; status = cli.main(sys.argv[1:]); "
        "used = resource.getrusage(resource.RUSAGE_SELF); "
        "print(used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, 'torchvision' in sys.modules, file=sys.stderr); "
        "sys.exit(status)"
    )
    command = [sys.executable, "-c", code, *words, "--dry-run", "--device", "cpu"]
    run = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True, env=dict(os.environ))
    seconds, mib, loads_torchvision = run.stderr.split()[-3:]
    assert "cells to compute on cpu, about " in run.stdout
    assert float(mib) < LIMIT_MIB
    assert float(seconds) < LIMIT_SECONDS
    assert loads_torchvision == "False"
    assert not list(Path(tmp_path).iterdir())
