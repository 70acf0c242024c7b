"""A dry run says what would run, and how long it would take, from names and published timings alone.

The quick preset has a defense with options that nothing published has: it is tried on a few images.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from purification_bench.benchmark.run import presets

LIMIT_SECONDS, LIMIT_MIB = 2.0, 700
COMMANDS = [("reproduce",), ("reproduce", "-n", "100")] + [
    ("run", "--preset", name) for name in presets.names() if name in ("standard", "adaptive", "paper")
]


@pytest.fixture(scope="module")
def torch_seconds() -> float:
    """The processor seconds that loading torch takes, which reads classes' options."""
    code = "import os, torch; used = os.times(); print(used.user + used.system)"
    return float(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_it_is_quick_and_small(words, tmp_path, torch_seconds):
    """In processor seconds beside those of torch: a shared machine's clock says little."""
    code = (
        "import os, re, sys; from purification_bench.benchmark import cli; status = cli.main(sys.argv[1:]); "
        "used = os.times(); peak = re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1]; "
        "print(used.user + used.system, int(peak) / 1024, 'torchvision' in sys.modules, file=sys.stderr); "
        "sys.exit(status)"
    )
    command = [sys.executable, "-c", code, *words, "--dry-run", "--device", "cpu"]
    run = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True, env=dict(os.environ))
    seconds, mib, loads_torchvision = run.stderr.split()[-3:]
    assert "cells to compute on cpu, about " in run.stdout
    assert float(mib) < LIMIT_MIB
    assert float(seconds) - torch_seconds < LIMIT_SECONDS
    assert loads_torchvision == "False"
    assert not list(Path(tmp_path).iterdir())
