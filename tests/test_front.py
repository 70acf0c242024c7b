"""Accuracy under attack against time: which rows are in front, and their picture."""

from __future__ import annotations

from dataclasses import replace

import pytest
from make_boards import bits, cell, judged_board_of
from make_results import latency, result

from purification_bench.leaderboard.judging.front import Point, front, measured
from purification_bench.leaderboard.judging.statistics import Estimate
from purification_bench.leaderboard.showing.front import FRONT, draw_pareto


def point(name, milliseconds, robust, stands=True):
    return Point(name, milliseconds, Estimate(robust, 0.0, 1.0, 100), stands, "a processor")


def timed(defense, milliseconds, device="a processor"):
    result = latency(defense)
    part = {"p50_ms": milliseconds, "p90_ms": milliseconds, "calls": 200}
    single = {"purifier": part, "classifier": part, "end_to_end": part}
    environment = {**result.environment, "device_name": device}
    return replace(result, latency={**result.latency, "single": single}, environment=environment)


def test_in_front_is_what_no_other_ranked_row_beats():
    fast, slow = point("fast", 1.0, 0.2), point("slow", 9.0, 0.6)
    behind, twin = point("behind", 2.0, 0.2), point("twin", 1.0, 0.2)
    unranked = point("unranked", 0.5, 0.9, stands=False)
    assert front([unranked, fast, behind, slow]) == [fast, slow]
    assert front([fast, twin]) == [fast, twin]
    assert front([]) == []


@pytest.mark.pictures
def test_the_picture_shows_every_row_that_was_measured(monkeypatch):
    board, _ = judged_board_of()
    found = [point("none", 1.0, 0.1), point("it", 3.0, 0.6), point("it", 2.0, 0.9, stands=False)]
    monkeypatch.setattr("purification_bench.leaderboard.showing.front.measured", lambda _: found)
    figure = draw_pareto(board)
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [FRONT, "none", "it", "it"]
    found.pop(), found.pop()
    assert draw_pareto(board) is None


def test_rows_with_a_headline_are_set_against_their_time():
    attacked = [cell("pgd", eps, 60, estimator) for eps in (0.1, 0.3) for estimator in ("bpda", "full")]
    board, _ = judged_board_of(*attacked, timed("it", 3.0), timed("none", 1.0))
    (found,) = measured(board)
    assert (found.defense, found.milliseconds, found.robust.value, found.stands) == ("it", 3.0, 0.6, True)
    assert found.device == "a processor"


def test_rows_that_were_timed_on_another_device_are_left_out():
    def row(name, device):
        attacked = [("bare", "fgsm"), ("bare", "pgd"), ("bpda", "pgd"), ("full", "pgd")]
        cells = [
            result(name, attack, eps, clean=bits(95), adversarial=bits(60), estimator=estimator)
            for estimator, attack in attacked for eps in (0.1, 0.3)
        ]  # fmt: skip
        return [result(name, clean=bits(95)), *cells, timed(name, 1.0, device)]

    board, _ = judged_board_of(*row("one", "old"), *row("two", "new"), *row("three", "new"))
    assert {each.defense for each in measured(board)} == {"two", "three"}
