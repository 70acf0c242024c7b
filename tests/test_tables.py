"""Cells are values: every renderer has words for each, and says nothing that the value does not."""

from __future__ import annotations

import doctest
import io
import json
from dataclasses import replace
from html.parser import HTMLParser
from typing import get_args

import pytest
from make_results import ENVIRONMENT, latency, result
from rich.console import Console
from shown import headers

from purification_bench.leaderboard.judging.layout import lay_out
from purification_bench.leaderboard.judging.statistics import Estimate
from purification_bench.leaderboard.showing import as_json, html, markdown, names, terminal
from purification_bench.leaderboard.showing.table import Table, figures, words
from purification_bench.leaderboard.showing.tables import cost
from purification_bench.leaderboard.showing.tables.accuracies import overview
from purification_bench.leaderboard.showing.tables.standings import summary
from purification_bench.leaderboard.showing.values import (
    Attacked,
    Count,
    Counts,
    Digest,
    Failed,
    Listing,
    Margin,
    Missing,
    Name,
    Number,
    Points,
    PValue,
    Quantiles,
    Share,
    Size,
    Stacked,
    Strong,
    Tally,
    Term,
    Value,
    text,
)
from purification_bench.leaderboard.showing.wording import Style, written

SHARE = Estimate(0.9, 0.596, 0.982, 10)
CASES = [
    (Missing("not run"), "—", {"missing": "not run"}),
    (Missing(), "—", None),
    (Failed("RuntimeError: no"), "error", "RuntimeError: no"),
    (Name("cae[latent_dim=32]"), "cae[latent_dim=32]", "cae[latent_dim=32]"),
    (text(Term("Robust"), ": ", Name("x"), Strong((" it ", Name("is")))), "Robust: x it is", "Robust: x it is"),
    (Listing((Name("fgsm"), Name("pgd"))), "fgsm, pgd", ["fgsm", "pgd"]),
    (Stacked((text("fgsm"), Size(0.3))), "fgsm 0.3", ["fgsm", 0.3]),
    (Digest("a" * 64), "a" * 12, "a" * 64),
    (Size(0.6, marked=True), "0.6*", 0.6),
    (Attacked("fgsm", Size(0.6, marked=True)), "fgsm 0.6*", {"attack": "fgsm", "size": 0.6}),
    (SHARE, "90.0 [59.6, 98.2]", {"value": 0.9, "low": 0.596, "high": 0.982, "n": 10}),
    (Share(0.9099, decimals=2), "90.99", 0.9099),
    (Points(-0.16), "-16.0", -0.16),
    (Margin(0.035), "3.5 points", 0.035),
    (Count(1000), "1000", 1000),
    (Counts(200, 1000), "200 to 1,000", {"least": 200, "most": 1000}),
    (Counts(1000, 1000), "1,000", {"least": 1000, "most": 1000}),
    (Number(1234.5, "images/s"), "1,234", 1234.5),
    (Quantiles(Number(1, "ms"), Number(2, "ms")), "1.00 / 2.00", {"p50": 1, "p90": 2}),
    (Tally(0, 9), "0 : 9", {"better": 0, "worse": 9}),
    (PValue(0.0042), ".004", 0.0042),
    (PValue(0.0001), "< .001", 0.0001),
]


def test_every_kind_of_value_has_its_case():
    assert {type(value) for value, _, _ in CASES} == set(get_args(Value))


@pytest.mark.parametrize(("value", "said", "plain"), CASES, ids=lambda case: type(case).__name__)
def test_words_and_json_of_a_value(value, said, plain):
    assert written(value) == said
    assert as_json.plain(value) == plain


def test_a_brief_rendering_leaves_intervals_out_and_nothing_else():
    brief = Style(brief=True)
    assert written(SHARE, brief) == "90.0"
    assert all(written(value, brief) == said for value, said, _ in CASES if value is not SHARE)


TABLE = Table(
    "It",
    [*words("defense"), *figures("clean"), *words("device"), *figures("n")],
    [[Name("[red]cae`"), SHARE, text("a machine"), Counts(10, 10)], [Name("none"), Missing(), text("x"), Count(1)]],
    text("Of ", Name("cae"), "."),
    [text("a remark")],
)


def test_a_table_in_json_holds_plain_values():
    document = json.loads(json.dumps(as_json.document(TABLE)))
    assert document == {
        "title": "It",
        "columns": ["defense", "clean", "device", "n"],
        "rows": [
            ["[red]cae`", {"value": 0.9, "low": 0.596, "high": 0.982, "n": 10}, "a machine", {"least": 10, "most": 10}],
            ["none", None, "x", 1],
        ],
        "note": "Of cae.",
        "remarks": ["a remark"],
    }


def test_words_are_set_to_the_left_and_figures_to_the_right():
    assert TABLE.leading == 1
    rule = markdown.render(TABLE).splitlines()[3]
    cells = markdown.render(TABLE).splitlines()[5].split("|")
    assert set(rule) == {"|", "-"}
    assert cells[1].startswith(" `none` ") and cells[2].endswith(" — ") and cells[3].startswith(" x ")


def test_a_name_is_no_markup_on_the_terminal():
    screen = Console(width=80, record=True, file=io.StringIO())
    screen.print(terminal.rendered(TABLE, terminal.BRIEF))
    shown = screen.export_text()
    assert "[red]cae`" in shown and "90.0 " in shown and "59.6" not in shown


class Tags(HTMLParser):
    """Collects the tags of a page, and its text."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)

    def handle_data(self, data):
        self.text += data


def test_a_name_is_no_markup_in_html():
    hostile = "<b>&amp;</td><script>"
    values = [Name(hostile), text(hostile, Term(hostile), Strong((hostile,)))]
    shown = Tags(html.rendered(Table(hostile, words("a", hostile), [values])))
    assert set(shown.tags) == {"table", "caption", "tr", "th", "td", "code", "em", "strong"}
    assert shown.text.count(hostile) == 6
    assert "text-align:right" in html.rendered(TABLE)


@pytest.fixture
def board():
    clean = (1,) * 9 + (0,)
    cells = [("fgsm", 0.3, "linf"), ("fgsm", 0.6, "linf"), ("pgd", 0.3, "linf"), ("cw", 1.5, "l2")]
    (board,) = lay_out(
        [
            *(result(name, clean=clean) for name in ("none", "cae", "median")),
            *(result("none", a, eps, clean=clean, adversarial=(1, 0) * 5, norm=norm) for a, eps, norm in cells),
            latency("none"),
        ]
    )
    return board


def test_the_first_table_fits_eighty_columns_and_names_rows_shortly(board):
    table = summary(board)
    assert headers(table) == ["rank", "defense", "clean", "robust", "claimed", "p50 ms", "n", "verdict"]
    screen = Console(width=80, file=io.StringIO())
    screen.print(terminal.rendered(table))
    lines = screen.file.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert len(table.rows) == len(board.rows)


def test_a_short_name_tells_a_row_from_the_others():
    assert doctest.testmod(names).failed == 0
    twins = ["cae[a=1,b=2]", "cae[a=1,b=3]", "cae"]
    assert list(names.shortened(twins).values()) == ["cae b=2", "cae b=3", "cae"]
    several = ["cae[a=1,b=2]", "cae[a=1,b=3]", "cae[b=3]", "cae"]
    assert list(names.shortened(several).values()) == ["cae a=1 b=2", "cae a=1 b=3", "cae b=3", "cae"]
    many = [f"cae[{','.join(f'{letter}={number}' for letter in 'abcdefghijklmn')}]" for number in (1, 2)]
    assert len(set(names.shortened(many).values())) == 2


def test_what_a_short_name_means_is_its_label_and_never_another():
    labels = ["cae[a=1,b=2]", "cae[a=1,b=3]", "cae", "puvae[c=1]", "jpeg[q=1]", "jpeg[q=2]"]
    for label, short in names.shortened(labels).items():
        assert names.meant(short, labels) == names.meant(label, labels) == label
    assert names.meant("puvae", labels) == "puvae[c=1]"
    assert names.meant("jpeg", labels) is None
    assert (
        names.meant("puvae[noise=0]", ["puvae[hidden=512,noise=0.0]", "cae[noise=0.0]"])
        == "puvae[hidden=512,noise=0.0]"
    )
    assert names.meant("cae[b=2]", ["cae[a=1,b=2]", "cae[a=2,b=2]"]) is None
    assert names.meant("cae[b=2,a=1]", labels) == "cae[a=1,b=2]"


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_the_overview_fits_the_terminal_and_leaves_nothing_out(width, board):
    pieces = terminal.pieces(overview(board), width)
    assert len(pieces) == 1 or width < 200
    shown = [header for piece in pieces for header in headers(piece)[1:]]
    assert shown == ["clean", "fgsm 0.3", "fgsm 0.6", "pgd 0.3", "cw 1.5", "claimed 0.3", "p50 ms"]
    for piece in pieces:
        screen = Console(width=1000, record=True, file=io.StringIO())
        screen.print(terminal.rendered(piece, terminal.BRIEF))
        assert max(map(len, screen.export_text().splitlines())) <= width


def test_hours_are_of_one_core_or_one_gpu():
    spent = {"attack": 3000.0, "purify": 500.0, "classify": 100.0}
    here = result("it", "pgd", 0.3, adversarial=(0, 0, 0, 0), seconds=spent)
    there = replace(here, environment={**ENVIRONMENT, "device": "cuda"})
    for attacked, hours in ((here, 2.0), (there, 1.0)):
        (board,) = lay_out([result("it", seconds={"purify": 0.0}), attacked])
        assert cost.hours(board.rows["it"]) == Number(hours, "h")
