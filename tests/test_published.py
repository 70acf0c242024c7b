"""The published leaderboard is what its results say, and its results are those of the shipped weights."""

from __future__ import annotations

import shlex
import shutil
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch

from purification_bench.benchmark import cli
from purification_bench.benchmark.assets import zoo
from purification_bench.benchmark.commands import audit, reproduce, run
from purification_bench.benchmark.paths import SHIPPED_ZOO
from purification_bench.benchmark.run import grid
from purification_bench.leaderboard import pages
from purification_bench.leaderboard.results.result import STANDARD
from purification_bench.leaderboard.results.store import Store

BOARD = Path(__file__).parent.parent / "leaderboard"
PUBLISHED = Store(BOARD / "published")
REPRODUCED = Store(BOARD / "reproduction")
CPU = torch.device("cpu")


def test_the_page_follows_from_the_results(tmp_path):
    shutil.copytree(PUBLISHED.root, tmp_path / "published", ignore=shutil.ignore_patterns("figures", "adversarial"))
    pages.write(Store(tmp_path / "published"), tmp_path / "README.md")
    assert (tmp_path / "README.md").read_text() == (BOARD / "README.md").read_text()


def test_the_reproduction_follows_from_the_results(tmp_path):
    shutil.copytree(REPRODUCED.root, tmp_path / "store", ignore=shutil.ignore_patterns("figures", "adversarial"))
    pages.write(Store(tmp_path / "store"))
    assert (tmp_path / "store" / "README.md").read_text() == (REPRODUCED.root / "README.md").read_text()


def test_every_row_was_computed_with_shipped_weights():
    shipped = {weights.sha256 for weights in zoo.entries([SHIPPED_ZOO])}
    standard = [result for result in REPRODUCED.results() if result.protocol == STANDARD]
    for result in (*PUBLISHED.results(), *standard):
        for part in ("classifier", "defense"):
            assert result.identity[part]["weights"] in {None, *shipped}


@pytest.mark.parametrize("line", PUBLISHED.commands())
def test_every_command_was_run_to_its_end(line):
    assert _cells(line) <= {result.key for result in PUBLISHED.results() if result.ok}


@pytest.mark.parametrize("line", REPRODUCED.commands())
def test_the_reproduction_was_run_to_its_end(line):
    assert _cells(line) <= {result.key for result in REPRODUCED.results() if result.ok}


@pytest.mark.parametrize("store", [PUBLISHED, REPRODUCED], ids=["published", "reproduction"])
def test_nothing_is_published_that_no_command_makes(store):
    """The released code's protocol needs a classifier that is not shipped: its cells are not looked for here."""
    planned = set().union(*map(_cells, store.commands()))
    accuracies = [result for result in store.results() if result.kind == "accuracy"]
    assert {result.key for result in accuracies if result.protocol == STANDARD} <= planned


@cache
def _cells(line: str) -> set[str]:
    """Return the keys of the accuracy cells that a command line asks for."""
    args = cli.build_parser()[0].parse_args(shlex.split(line)[1:])
    if args.command == "reproduce":
        args.no_latency = True
        plans = reproduce.plans(args, reproduce.tables_asked(args), CPU)
    else:
        asked = (run if args.command == "run" else audit).configured(args)
        plans = [grid.plan(replace(asked, latency=False), CPU, None, None)]
    return {cell.key for plan in plans for cell in plan.cells}
