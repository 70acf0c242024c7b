"""The published leaderboard is what its results say, and its results are those of the shipped weights."""

from __future__ import annotations

import shlex
import shutil
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch

from benchmark import cli, grid, zoo
from benchmark.commands import audit, run
from benchmark.paths import SHIPPED_ZOO
from leaderboard import page
from leaderboard.store import Store

BOARD = Path(__file__).parent.parent / "leaderboard"
PUBLISHED = Store(BOARD / "published")


def test_the_page_follows_from_the_results(tmp_path):
    shutil.copytree(PUBLISHED.root, tmp_path / "published", ignore=shutil.ignore_patterns("figures", "adversarial"))
    page.write(Store(tmp_path / "published"), tmp_path / "README.md")
    assert (tmp_path / "README.md").read_text() == (BOARD / "README.md").read_text()


def test_every_row_was_computed_with_shipped_weights():
    shipped = {weights.sha256 for weights in zoo.entries([SHIPPED_ZOO])}
    for result in PUBLISHED.results():
        for part in ("classifier", "defense"):
            assert result.identity[part]["weights"] in {None, *shipped}


@pytest.mark.parametrize("line", PUBLISHED.commands())
def test_every_command_was_run_to_its_end(line):
    assert _cells(line) <= {result.key for result in PUBLISHED.results() if result.ok}


def test_nothing_is_published_that_no_command_makes():
    planned = set().union(*map(_cells, PUBLISHED.commands()))
    assert {result.key for result in PUBLISHED.results() if result.kind == "accuracy"} <= planned


@cache
def _cells(line: str) -> set[str]:
    """Return the keys of the accuracy cells that a command line asks for."""
    args = cli.build_parser()[0].parse_args(shlex.split(line)[1:])
    asked = (run if args.command == "run" else audit).configured(args)
    plan = grid.plan(replace(asked, latency=False), torch.device("cpu"), None, None)
    return {cell.key for cell in plan.cells}
