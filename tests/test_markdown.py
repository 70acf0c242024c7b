"""The page: a golden file, and what must stand in it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from make_results import latency, result
from markdown_it import MarkdownIt
from shown import headers, note, rows

from purification_bench.leaderboard.judging.layout import lay_out
from purification_bench.leaderboard.showing import markdown, page, page_parts
from purification_bench.leaderboard.showing.tables import accuracies, standings
from purification_bench.leaderboard.showing.values import Missing
from purification_bench.leaderboard.showing.wording import MISSING

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
    pictures = {"mnist-model_a-seed0": [("Curves.", "figures/curves.png")]}
    endings = page_parts.endings(results, ["bench run"], [(Path("folder/x.json"), "cut")])
    text = page_parts.joined(["# Leaderboard", *page.sections(results, lay_out(results), pictures), *endings])
    if os.environ.get("BENCH_WRITE_GOLDEN"):
        GOLDEN.write_text(text)
    assert text == GOLDEN.read_text()


def test_gray_box_rows_are_not_ranked(results):
    (board,) = lay_out(results)
    assert all(isinstance(row[0], Missing) for row in standings.summary(board).rows)


def test_sizes_from_one_half_on_are_marked(results):
    (board,) = lay_out(results)
    table = accuracies.by_size(board, "fgsm")
    assert headers(table) == ["defense", "clean", "0.3", "0.6*", "n"]
    assert "grey image" in note(table)


def test_a_missing_cell_is_a_dash_and_a_failed_one_an_error(results):
    (board,) = lay_out(results)
    cells = {defense: cell for defense, _, cell, _ in rows(accuracies.by_size(board, "cw"))}
    assert cells["cae"] == MISSING
    (board,) = lay_out([*results, result("median", "cw", 1.5, norm="l2", status="error", error="no")])
    cells = {defense: cell for defense, _, cell, _ in rows(accuracies.by_size(board, "cw"))}
    assert cells["median"] == "error"


def test_an_empty_store_says_so():
    assert page.sections([], [], {}) == ["No results yet."]


HOSTILE = "a|b`c<b>\n# *d* [e](f) ![g](h) &amp; __i__ ~~j~~ \\|k \\"
"""A name that would break out of every place that a page sets it in."""
SEEN = " ".join(HOSTILE.splitlines())
CODE = ["<code>", "</code>"]


def read(page):
    """What a Markdown reader makes of a page: its blocks, the marks within lines, and the text of each line."""
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(page)
    lines = [token for token in tokens if token.type == "inline"]
    inner = [child for line in lines for child in line.children]
    marks = [child.content if child.type == "html_inline" else child.type for child in inner if child.type != "text"]
    texts = ["".join(c.content for c in line.children if c.type in ("text", "code_inline")) for line in lines]
    return [token.type for token in tokens], marks, texts


@pytest.mark.parametrize(
    "place", ["{}", "# {}", "- {}", "| x |\n|---|\n| {} |"], ids=["text", "heading", "item", "cell"]
)
def test_a_hostile_name_is_inert_wherever_it_is_set(place):
    blocks, _, _ = read(place.format("name"))
    for written, marks in ((markdown.escaped(HOSTILE), []), (markdown.code(HOSTILE), CODE)):
        assert read(place.format(written))[:2] == (blocks, marks)
        assert read(place.format(written))[2][-1] == SEEN


def test_a_hostile_caption_and_path_are_a_picture():
    blocks, marks, texts = read(markdown.picture(HOSTILE, "a folder/(x).png"))
    assert (blocks, marks) == read(markdown.picture("caption", "x.png"))[:2]
    assert texts[1] == SEEN


@pytest.mark.parametrize("plain", ["pgd[steps=20] (Linf, graybox)", "fgsm_predicted", "90.0 [59.6, 98.2]", "it's 5 %."])
def test_plain_words_stay_as_they_are(plain):
    assert markdown.escaped(plain) == plain and markdown.code(plain) == f"`{plain}`"


def test_a_hostile_defense_and_error_change_nothing_of_a_page_but_their_text():
    def blocks(name):
        cells = [result(each, "pgd", 0.3, clean=(1, 1), adversarial=(0, 0)) for each in ("none", name)]
        cells.append(result("median", status="error", error=name))
        endings = page_parts.endings(cells, [], [(Path("x.json"), name)])
        return read("\n\n".join([*page.sections(cells, lay_out(cells), {}), *endings]))

    assert blocks(HOSTILE)[0] == blocks("zzz")[0]
    assert {mark for mark in blocks(HOSTILE)[1] if mark.startswith("<")} == set(CODE)
    assert SEEN in blocks(HOSTILE)[2]


def test_a_command_cannot_end_its_block():
    block = markdown.fenced(["bench run --plugin '```.py'"])
    assert block.startswith("````sh\n") and block.endswith("\n````")
