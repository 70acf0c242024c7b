"""A dry run says what would run, and how long it would take, from names and stored timings alone.

What classes say is remembered once they were asked: then no torch is loaded.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from purification_bench.benchmark.run import presets

SECONDS, MIB = 1.5, 120
"""Of processor time, and of memory in all. torch alone takes 2.5 s and 640 MiB."""
COMMANDS = [
    ("reproduce",),
    ("reproduce", "-n", "100"),
    ("audit", "cae,median"),
    *(("run", "--preset", name) for name in presets.names()),
]
MEASURE = """
import contextlib, io, json, re, sys, time
from purification_bench.benchmark import cli
rows = []
for words in json.loads(sys.argv[1]):
    begun, said = time.process_time(), io.StringIO()
    with contextlib.redirect_stdout(said):
        cli.main(words)
    rows.append((said.getvalue(), time.process_time() - begun))
peak = int(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1]) / 1024
print(json.dumps({"rows": rows, "mib": peak, "loaded": sorted(sys.modules)}))
"""


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """What each command printed and the seconds that it took: first anew, then as it is remembered."""
    if not sys.platform.startswith("linux"):
        pytest.skip("it reads /proc")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        commands = json.dumps([[*words, "--dry-run", "--device", "auto"] for words in COMMANDS])
        folder = tmp_path_factory.mktemp("empty")
        code = [sys.executable, "-c", MEASURE, commands]
        runs = [subprocess.run(code, cwd=folder, check=True, capture_output=True, text=True) for _ in range(2)]
    assert not list(Path(folder).iterdir())
    return [json.loads(run.stdout) for run in runs]


@pytest.mark.parametrize("index", range(len(COMMANDS)), ids=[" ".join(words) for words in COMMANDS])
def test_it_is_quick_and_says_the_same(index, measured):
    (first, _), (said, seconds) = (run["rows"][index] for run in measured)
    assert said == first
    assert "cells to compute on " in said
    assert seconds < SECONDS


def test_it_is_small_and_loads_no_torch(measured):
    _, second = measured
    assert second["mib"] < MIB
    assert not {"torch", "torchvision", "torchattacks", "matplotlib", "pandas"} & set(second["loaded"])
