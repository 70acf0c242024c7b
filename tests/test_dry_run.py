"""A dry run says what would run, and how long it would take, from names and published timings alone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from purification_bench.benchmark.run import presets

SECONDS, MIB = 1.5, 60
"""At most so much more than loading torch takes, which reads classes' options."""
COMMANDS = [("reproduce",), ("reproduce", "-n", "100"), *(("run", "--preset", name) for name in presets.names())]
MEASURE = """
import contextlib, io, json, os, re, sys, time
def peak(): return int(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1]) / 1024
import torch
alone = peak()
from purification_bench.benchmark import cli
rows = []
for words in json.loads(sys.argv[1]):
    begun, said = time.process_time(), io.StringIO()
    with contextlib.redirect_stdout(said):
        cli.main(words)
    rows.append((said.getvalue(), time.process_time() - begun))
print(json.dumps({"rows": rows, "mib": peak() - alone, "loaded": sorted(sys.modules)}))
"""


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """What each command printed and the seconds that it took, all in one process of their own."""
    if not sys.platform.startswith("linux"):
        pytest.skip("it reads /proc")
    commands = json.dumps([[*words, "--dry-run", "--device", "cpu"] for words in COMMANDS])
    folder = tmp_path_factory.mktemp("empty")
    code = [sys.executable, "-c", MEASURE, commands]
    run = subprocess.run(code, cwd=folder, check=True, capture_output=True, text=True)
    assert not list(Path(folder).iterdir())
    return json.loads(run.stdout)


@pytest.mark.parametrize("index", range(len(COMMANDS)), ids=[" ".join(words) for words in COMMANDS])
def test_it_is_quick(index, measured):
    said, seconds = measured["rows"][index]
    assert "cells to compute on cpu: " in said
    assert seconds < SECONDS


def test_it_is_small_and_loads_no_library_of_attacks(measured):
    assert measured["mib"] < MIB
    assert not {"torchvision", "torchattacks"} & set(measured["loaded"])
