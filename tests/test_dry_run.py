"""A dry run says what would run, and how long it would take, from names and published timings alone.

The quick preset has a defense with options that nothing published has: it is tried on a few images.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from purification_bench.benchmark.run import presets

SECONDS, MIB = 4.0, 250
"""At most so much more than loading torch takes, on a busy machine: which pages of its libraries are in memory
differs from run to run."""
MEASURED = (
    "used = os.times(); peak = re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1]; "
    "print(used.user + used.system, int(peak) / 1024, 'torchvision' in sys.modules, file=sys.stderr); "
)
COMMANDS = [("reproduce",), ("reproduce", "-n", "100")] + [
    ("run", "--preset", name) for name in presets.names() if name in ("standard", "adaptive", "paper")
]


def measured(code: str, *words: str, cwd: Path) -> tuple[str, float, float, bool]:
    """Run code in a process of its own; return its output, processor seconds, peak MiB, if it saw torchvision."""
    command = [sys.executable, "-c", f"import os, re, sys; {code}; {MEASURED}", *words]
    run = subprocess.run(command, cwd=cwd, check=True, capture_output=True, text=True)
    seconds, mib, loads_torchvision = run.stderr.split()[-3:]
    return run.stdout, float(seconds), float(mib), loads_torchvision == "True"


@pytest.fixture(scope="module")
def torch_alone(tmp_path_factory) -> tuple[float, float]:
    """What loading torch takes, which reads classes' options."""
    _, seconds, mib, _ = measured("import torch", cwd=tmp_path_factory.mktemp("torch"))
    return seconds, mib


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="it reads /proc")
@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_it_is_quick_and_small(words, tmp_path, torch_alone):
    code = "from purification_bench.benchmark import cli; cli.main(sys.argv[1:])"
    said, seconds, mib, loads_torchvision = measured(code, *words, "--dry-run", "--device", "cpu", cwd=tmp_path)
    assert "cells to compute on cpu, about " in said
    assert not loads_torchvision
    assert seconds - torch_alone[0] < SECONDS
    assert mib - torch_alone[1] < MIB
    assert not list(tmp_path.iterdir())
