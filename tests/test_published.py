"""The published leaderboard is what its results say, and its results are those of the shipped weights."""

from __future__ import annotations

import shutil
from pathlib import Path

from purification_bench.benchmark.assets import zoo
from purification_bench.benchmark.paths import SHIPPED_ZOO
from purification_bench.leaderboard import pages
from purification_bench.leaderboard.results.result import STANDARD
from purification_bench.leaderboard.results.store import Store

BOARD = Path(__file__).parent.parent / "leaderboard"
PUBLISHED = Store(BOARD / "published")
CONTROLS = Store(BOARD / "controls")
REPRODUCED = Store(BOARD / "reproduction")


def test_the_page_follows_from_the_results(tmp_path):
    shutil.copytree(PUBLISHED.root, tmp_path / "published", ignore=shutil.ignore_patterns("figures", "adversarial"))
    pages.write(Store(tmp_path / "published"), tmp_path / "README.md")
    assert (tmp_path / "README.md").read_text() == (BOARD / "README.md").read_text()


def test_the_reproduction_follows_from_the_results(tmp_path):
    shutil.copytree(REPRODUCED.root, tmp_path / "store", ignore=shutil.ignore_patterns("figures", "adversarial"))
    pages.write(Store(tmp_path / "store"))
    assert (tmp_path / "store" / "README.md").read_text() == (REPRODUCED.root / "README.md").read_text()


def test_the_page_of_the_controls_follows_from_the_results(tmp_path):
    shutil.copytree(CONTROLS.root, tmp_path / "store", ignore=shutil.ignore_patterns("figures", "adversarial"))
    pages.write(Store(tmp_path / "store"))
    assert (tmp_path / "store" / "README.md").read_text() == (CONTROLS.root / "README.md").read_text()


def test_every_row_was_computed_with_shipped_weights():
    shipped = {weights.sha256 for weights in zoo.entries([SHIPPED_ZOO])}
    standard = [result for result in REPRODUCED.results() if result.protocol == STANDARD]
    for result in (*PUBLISHED.results(), *standard):
        for part in ("classifier", "defense"):
            assert result.identity[part]["weights"] in {None, *shipped}
