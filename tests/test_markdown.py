"""The page: a golden file, and what must stand in it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from make_results import latency, result

from purification_bench.leaderboard.judging.layout import lay_out
from purification_bench.leaderboard.showing import markdown, tables, terminal

GOLDEN = Path(__file__).parent / "data" / "leaderboard.md"


@pytest.fixture
def results():
    clean = (1,) * 9 + (0,)
    draws = (4,) * 8 + (3, 0)
    return [
        result("none", clean=clean),
        result("none", "fgsm", 0.3, clean=clean, adversarial=(1, 0) * 5),
        result("none", "fgsm", 0.6, clean=clean, adversarial=(0,) * 10),
        result("none", "pgd", 0.3, clean=clean, adversarial=(0,) * 10),
        result("none", "cw", 1.5, clean=clean, adversarial=(1, 1, 0, 0, 0) * 2, norm="l2"),
        result("cae", clean=draws, draws=4),
        result("cae", "fgsm", 0.3, clean=draws, adversarial=(3, 2) * 5, draws=4),
        result("cae", "fgsm", 0.6, clean=draws, adversarial=(4, 1) * 5, draws=4),
        result("cae", "pgd", 0.3, clean=draws, adversarial=(2, 2) * 5, draws=4),
        result("median", status="error", error="RuntimeError: no"),
        latency("none"),
        latency("cae"),
    ]


def test_the_page_is_the_golden_one(results):
    """BENCH_WRITE_GOLDEN=1 writes it anew: read the difference before committing it."""
    page = markdown.page(
        results, {"mnist-model_a-seed0": [("Curves.", "figures/curves.png")]}, ["bench run"], ["`x.json`: cut"]
    )
    if os.environ.get("BENCH_WRITE_GOLDEN"):
        GOLDEN.write_text(page)
    assert page == GOLDEN.read_text()


def test_gray_box_rows_are_not_ranked(results):
    (board,) = lay_out(results)
    assert all(row[0] == tables.MISSING for row in tables.summary(board).rows)


def test_sizes_from_one_half_on_are_marked(results):
    (board,) = lay_out(results)
    table = tables.by_size(board, "fgsm")
    assert table.headers == ["defense", "clean", "0.3", "0.6*", "n"]
    assert "grey image" in table.note


def test_a_missing_cell_is_a_dash_and_a_failed_one_an_error(results):
    (board,) = lay_out(results)
    rows = {row[0]: row for row in tables.by_size(board, "cw").rows}
    assert rows["`cae`"][2] == tables.MISSING
    (board,) = lay_out([*results, result("median", "cw", 1.5, norm="l2", status="error", error="no")])
    rows = {row[0]: row for row in tables.by_size(board, "cw").rows}
    assert rows["`median`"][2] == "error"


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_the_overview_fits_the_terminal_and_leaves_nothing_out(width, results):
    (board,) = lay_out(results)
    made = terminal.overview(board, width)
    assert len(made) == 1 or width < 200
    headers = [header for table in made for header in table.headers[1:]]
    assert headers == ["clean", "fgsm\n0.3", "fgsm\n0.6", "pgd\n0.3", "cw\n1.5", "claimed\n0.3", "p50\nms"]
    for table in made:
        cells = [[*header.splitlines(), *column] for header, *column in zip(table.headers, *table.rows, strict=True)]
        assert sum(max(map(len, column)) + 3 for column in cells) + 1 <= width


def test_an_empty_store_says_so():
    assert "No results yet" in markdown.page([], {})
