"""The headline: what it is taken over, and when there is none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from make_boards import BLIND, CONTROL, N, bits, board_of, cell, judged_board_of
from make_results import result
from shown import rows

from purification_bench.leaderboard.judging import audit
from purification_bench.leaderboard.judging.aggregate import accuracy, area, robust_accuracy, standing
from purification_bench.leaderboard.judging.layout import lay_out
from purification_bench.leaderboard.results.declared import Threat
from purification_bench.leaderboard.results.verdicts import Verdicts
from purification_bench.leaderboard.showing.tables.standings import ranked, summary

SEEING = ("full", "bpda")


def test_a_threat_that_no_list_knows_counts_for_what_it_declares():
    def met(right, attack="pgd", **declares):
        asks = declares.pop("asks", None)
        threat = Threat("sniper", "unknown", sees_purifier=True, judges=True, required=False, asks=asks)
        return cell(attack, 0.3, right, threat=replace(threat, **declares))

    seeing = [cell("pgd", 0.3, 60, how) for how in ("full", "bpda")]

    def robust(*more):
        board, row = judged_board_of(*seeing, *more)
        return getattr(robust_accuracy(row, board.headline(row, 0.3)), "value", None)

    assert robust() == 0.6
    assert robust(met(20)) == robust(met(20, required=True)) == 0.2
    assert robust(met(20, judges=False)) == 0.6
    assert robust(met(20, attack="fgsm", required=True)) is None
    assert robust(met(20, attack="fgsm", required=True, asks="certified")) == 0.2


def test_where_a_required_threat_was_met_by_another_row_it_is_missing():
    seeing = [cell("pgd", 0.3, 60, how) for how in ("full", "bpda")]
    word = replace(seeing[0].declared.threat, word="sniper", gradient="unknown")
    board, row = judged_board_of(*seeing, result("other", "pgd", 0.3, adversarial=(0, 0, 0, 0), threat=word))
    assert audit.verdict(board, row) == "not judged: no attack of many steps under sniper at 0.3"


def test_what_an_attack_broke_on_fewer_images_stays_broken():
    few = {"clean": bits(95)[:20], "adversarial": bits(5)[:20]}
    seeing = [cell("pgd", 0.3, 60, how) for how in ("full", "bpda")]
    board, row = judged_board_of(*seeing, result("it", "pgd", 0.3, estimator="full", **few))
    assert standing(board, row, 0.3).robust.value == 0.45
    (shown,) = [r for column, r in row.cells.items() if column.eps == 0.3 and column.threat.gradient == "true"]
    assert shown.n == N


def test_the_verdict_tells_robust_from_not():
    def verdict(right, *estimators, eps=0.3):
        return audit.verdict(*judged_board_of(*(cell("pgd", eps, right, how) for how in estimators)))

    assert verdict(60, "full", "bpda") == "stands"
    assert verdict(10, "full", "bpda") == "not robust: no better than chance"
    assert verdict(10, "full", "bpda", eps=0.1) == "not judged: no attack of many steps under bpda and whitebox at 0.3"
    assert verdict(60, "full") == "not judged: no attack of many steps follows its surrogate gradient"
    assert verdict(60, "bpda", "queries") == "not judged: no attack of many steps follows its true gradient"
    seeing = [cell("pgd", 0.3, 60, how) for how in ("full", "bpda")]
    assert audit.verdict(*board_of(*seeing)) == "not judged: no gray-box attack at 0.3"
    failed = cell("pgd", 0.3, 60, "bare", status="error", error="ValueError: no")
    assert audit.verdict(*board_of(failed)) == "not judged: every gray-box attack at 0.3 raised an error"
    board, row = board_of(*BLIND, *seeing)
    assert audit.verdict(board, row) == "not judged: nothing shows that the attacks work"
    assert ranked(board) == [(None, row)]
    assert ranked(judged_board_of(*seeing)[0])[0][0] == 1


def seen_by_all(right, n=N):
    """What an attacker who sees the purifier leaves, on the first images."""
    made = [result("it", "pgd", 0.3, clean=bits(95)[:n], adversarial=bits(right)[:n], estimator=e) for e in SEEING]
    return judged_board_of(cell("pgd", 0.3, 95, "bare"), *made)


def test_figures_of_a_row_are_on_the_same_images_and_fall():
    """Clean and claimed are there of 100 images, robust of 60: the row is of 60."""
    board, row = seen_by_all(40, n=60)
    found = standing(board, row, 0.3)
    assert [each.n for each in (found.clean, found.claimed, found.robust)] == [60, 60, 60]
    assert (found.clean.value, found.claimed.value) == (1.0, 1.0)
    assert found.robust.value == pytest.approx(40 / 60)
    (line,) = [line for line in rows(summary(board)) if line[1] == "it"]
    assert line[-2:] == ["60", "stands"]


def test_under_fifty_images_there_is_no_rank():
    board, row = seen_by_all(40, n=49)
    assert audit.verdict(board, row) == "stands, on 49 images: too few for a rank"
    assert {each.defense: rank for rank, each in ranked(board)}["it"] is None
    board, row = seen_by_all(40, n=50)
    assert audit.verdict(board, row) == "stands"
    assert {each.defense: rank for rank, each in ranked(board)}["it"] == 1


def test_no_draw_puts_robust_above_claimed_or_clean():
    """Chosen on one set of draws and read from another, a worst case can come out higher than what it is among."""
    few, many = (np.full(60, right, np.uint8) for right in (7, 9))

    def drawn(attack=None, how="bare", *, lucky=False):
        more = {"eps": 0.3, "adversarial": few, "estimator": how} if attack else {}
        made = result("it", attack, clean=few, draws=10, **more)
        verdicts = Verdicts(10, chosen=few - 1, reported=many)
        return replace(made, adversarial=verdicts) if lucky else made

    seeing = [drawn("pgd", how, lucky=True) for how in SEEING]
    (board,) = lay_out([drawn(), drawn("fgsm"), drawn("pgd"), *seeing, CONTROL])
    row = board.rows["it"]
    assert robust_accuracy(row, board.headline(row, 0.3)).value > accuracy(row.clean).value
    found = standing(board, row, 0.3)
    assert found.robust.value == found.claimed.value == found.clean.value


def test_one_step_bounds_nothing():
    board, row = judged_board_of(*(cell("fgsm", 0.3, 60, how) for how in ("full", "bpda")))
    assert board.headline(row, 0.3) == []
    assert audit.verdict(board, row) == "not judged: no attack of many steps under bpda and whitebox at 0.3"


def test_smaller_sizes_count_in_the_headline():
    others = [cell("pgd", eps, 95, "bpda") for eps in (0.1, 0.3)]
    blind = [cell("fgsm", eps, 90, "bare") for eps in (0.1, 0.3)]
    board, row = board_of(cell("pgd", 0.1, 20), cell("pgd", 0.3, 60), *blind, *others)
    assert robust_accuracy(row, board.headline(row, 0.1)).value == 0.2
    assert robust_accuracy(row, board.headline(row, 0.3)).value == 0.2
    assert standing(board, row, 0.3).gap == pytest.approx(0.9 - 0.2)
    assert area(board, row) == pytest.approx(((0.95 + 0.2) / 2 * 0.1 + 0.2 * 0.2) / 0.3)


def test_an_attack_on_few_images_cannot_raise_the_headline():
    few = result("it", "square", 0.3, clean=bits(95)[:20], adversarial=np.ones(20), estimator="queries")
    seeing = [*BLIND, cell("pgd", 0.3, 40), cell("pgd", 0.3, 40, "bpda")]
    board, row = board_of(*seeing, few)
    assert robust_accuracy(row, board.headline(row, 0.3)).value == 0.4
    broken = result("it", "square", 0.3, clean=bits(95)[:20], adversarial=np.zeros(20), estimator="queries")
    board, row = board_of(*seeing, few, broken)
    assert robust_accuracy(row, board.headline(row, 0.3)).value == 0.2


def test_of_a_stochastic_defense_an_attack_on_few_images_cannot_raise_the_headline_either():
    """What was not judged is no candidate: as a certain success it would win the draws' ties."""
    draws, random = 4, np.random.default_rng(0)

    def drawn(attack, n, right, estimator):
        made = result("it", attack, 0.3, clean=np.full(n, draws), adversarial=np.full(n, draws), draws=draws,
                      estimator=estimator)  # fmt: skip
        counts = [random.binomial(draws, right, n).astype(np.uint8) for _ in range(2)]
        return replace(made, adversarial=Verdicts(draws, *counts))

    seeing = [drawn("pgd", N, 0.9, how) for how in ("full", "bpda", "bare")]
    (without,) = lay_out(seeing)
    before = robust_accuracy(without.rows["it"], without.headline(without.rows["it"], 0.3)).value
    (board,) = lay_out([*seeing, drawn("square", 20, 0.25, "queries")])
    assert robust_accuracy(board.rows["it"], board.headline(board.rows["it"], 0.3)).value < before


def test_another_attack_on_few_images_does_not_narrow_the_headline():
    few = result("it", "apgd", 0.3, clean=bits(95)[:20], adversarial=np.ones(20), estimator="full")
    again = result("it", "pgd", 0.3, clean=bits(95)[:20], adversarial=np.zeros(20), estimator="full")
    again.identity["attack"]["eot_samples"] = 20
    board, row = judged_board_of(cell("pgd", 0.3, 60), cell("pgd", 0.3, 60, "bpda"), few, again)
    found = robust_accuracy(row, board.headline(row, 0.3))
    assert (found.n, found.value) == (N, 0.4)


def test_a_weaker_run_of_the_same_attack_hides_nothing():
    def run(samples, right):
        made = cell("pgd", 0.3, right)
        made.identity["attack"]["eot_samples"] = samples
        return made

    for order in ((20, 1), (1, 20)):
        found = {20: run(20, 5), 1: run(1, 60)}
        board, row = judged_board_of(*(found[samples] for samples in order), cell("pgd", 0.3, 90, "bpda"))
        assert robust_accuracy(row, board.headline(row, 0.3)).value == 0.05


def test_an_attack_that_raised_is_left_out_of_the_headline_and_told():
    failed = cell("cw", 0.3, 9, status="error", error="RuntimeError: no grad_fn")
    board, row = judged_board_of(failed, cell("pgd", 0.3, 30, "bpda"), cell("pgd", 0.3, 40))
    assert robust_accuracy(row, board.headline(row, 0.3)).value == 0.3
    assert audit.verdict(board, row) == "fails 'attacks run'"


def test_where_all_attacks_of_a_required_threat_raised_there_is_no_headline():
    failed = cell("pgd", 0.3, 9, status="error", error="RuntimeError: no grad_fn")
    board, row = judged_board_of(failed, cell("pgd", 0.3, 30, "bpda"))
    assert standing(board, row, 0.3).robust is None
    assert audit.verdict(board, row) == "fails 'attacks run'"
