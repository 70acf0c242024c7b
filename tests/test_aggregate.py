"""Boards: the laws of the worst case, and that missing stays missing."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import make_boards as made
import numpy as np
import pytest
from make_results import latency, result

from purification_bench.leaderboard.judging.aggregate import accuracy, curve, paired, robust_accuracy, standing, votes
from purification_bench.leaderboard.judging.layout import failures, lay_out
from purification_bench.leaderboard.results.declared import AttackTraits, DefenseTraits
from purification_bench.leaderboard.results.verdicts import Verdicts


def board_of(*results):
    (board,) = lay_out(results)
    return board


def test_rows_and_columns_are_sorted_into_boards():
    smaller = result("cae", dataset="fashion_mnist", mark=0.1)
    made = lay_out([result("cae"), result("none"), smaller, result("cae", seed=1)])
    assert [(b.dataset, b.seed) for b in made] == [("mnist", 0), ("mnist", 1), ("fashion_mnist", 0)]
    assert list(made[0].rows) == ["none", "cae"]


def test_boards_of_another_protocol_follow_those_of_the_standard_one():
    apart = result("cae", dataset="mnist[pixels=32]", protocol="as-released")
    made = lay_out([apart, result("cae", dataset="fashion_mnist", mark=0.1)])
    assert [board.protocol for board in made] == ["standard", "as-released"]


def test_the_undefended_row_leads_and_controls_follow_attacks_whatever_they_are_called():
    nothing = result("zero", defense_traits=DefenseTraits(undefended=True))
    control = AttackTraits("nothing", iterates=False, single_step=False, control=True, transfers=True)
    drawn = result("cae", "dice", 0.3, adversarial=(1, 1, 1, 0), traits=control)
    board = board_of(result("cae", "pgd", 0.3, adversarial=(0, 0, 0, 0)), drawn, nothing)
    assert list(board.rows) == ["zero", "cae"]
    assert [column.attack for column in board.columns] == ["pgd", "dice"]
    assert board.control is board.rows["zero"]


def test_the_worst_case_is_taken_image_by_image():
    board = board_of(
        result("cae", clean=(1, 1, 1, 0)),
        result("cae", "fgsm", 0.3, clean=(1, 1, 1, 0), adversarial=(1, 0, 1, 1)),
        result("cae", "pgd", 0.3, clean=(1, 1, 1, 0), adversarial=(0, 1, 1, 1)),
    )
    row = board.rows["cae"]
    assert robust_accuracy(row, board.candidates(0.3)).value == 0.25
    assert accuracy(row.cells[board.candidates(0.3)[0]]).value == 0.75


def test_adding_an_attack_never_raises_the_worst_case():
    random = np.random.RandomState(0)
    clean = random.randint(0, 2, 50)
    attacked = {name: random.randint(0, 2, 50) for name in ("bim", "fgsm", "noise", "pgd")}
    results = [result("cae", name, 0.3, clean=clean, adversarial=bits) for name, bits in attacked.items()]
    board = board_of(*results)
    row, columns = board.rows["cae"], board.candidates(0.3)
    for size in range(1, len(columns)):
        for fewer in combinations(columns, size):
            for more in set(columns) - set(fewer):
                assert robust_accuracy(row, [*fewer, more]).value <= robust_accuracy(row, fewer).value
            assert robust_accuracy(row, fewer).value <= clean.mean()


def test_a_missing_attack_leaves_no_worst_case():
    board = board_of(
        result("none", "fgsm", 0.3, adversarial=(1, 0, 1, 0)),
        result("none", "pgd", 0.3, adversarial=(0, 0, 1, 0)),
        result("cae", "fgsm", 0.3, adversarial=(1, 0, 1, 0)),
    )
    assert robust_accuracy(board.rows["cae"], board.candidates(0.3)) is None
    assert robust_accuracy(board.rows["none"], board.candidates(0.3)).value == 0.25


def test_a_failed_cell_is_no_number_and_hides_no_good_one():
    failed = result("cae", "fgsm", 0.3, status="error", error="no", created="2026-02-01")
    board = board_of(failed)
    assert robust_accuracy(board.rows["cae"], board.candidates(0.3)) is None
    board = board_of(failed, result("cae", "fgsm", 0.3, adversarial=(1, 0, 1, 0)))
    assert robust_accuracy(board.rows["cae"], board.candidates(0.3)).value == 0.5


def test_draws_that_leave_candidates_level_take_the_stronger_one():
    made = result("cae", "fgsm", 0.3, clean=(1, 1, 1, 1), adversarial=(1, 1, 1, 0))
    made = replace(
        made,
        clean=Verdicts(1, np.array([1, 1, 1, 1], np.uint8), np.array([1, 1, 1, 0], np.uint8)),
        adversarial=Verdicts(1, np.array([1, 1, 1, 0], np.uint8), np.array([0, 0, 1, 1], np.uint8)),
    )
    board = board_of(made)
    assert robust_accuracy(board.rows["cae"], board.candidates(0.3)).value == 0.5


def test_the_worst_attack_is_chosen_on_one_set_of_draws_and_read_from_the_other():
    made = result("cae", "fgsm", 0.3, clean=(4, 4), adversarial=(4, 4), draws=4)
    made = type(made)(**{**vars(made), "adversarial": Verdicts(4, np.uint8([1, 4]), np.uint8([3, 0]))})
    board = board_of(made)
    assert robust_accuracy(board.rows["cae"], board.candidates(0.3)).value == pytest.approx((3 / 4 + 0 / 4) / 2)


def test_votes_and_resubmission_are_over_all_draws():
    made = result("cae", "fgsm", 0.3, clean=(4, 4, 3, 0), adversarial=(4, 3, 2, 0), draws=4)
    board = board_of(made)
    attacked, clean = votes(board.rows["cae"], board.candidates(0.3)[0])
    assert (attacked.mean, attacked.vote, attacked.worst) == (9 / 16, 0.5, 0.25)
    assert (clean.mean, clean.vote, clean.worst) == (11 / 16, 0.75, 0.5)
    two = replace(made, adversarial=Verdicts(4, np.uint8([4, 4, 0, 0]), np.uint8([4, 1, 4, 4])))
    attacked, _ = votes(board_of(two).rows["cae"], board.candidates(0.3)[0])
    assert (attacked.vote, attacked.worst) == (0.5, 0.25)
    many = result("cae", "fgsm", 0.3, clean=(200,), adversarial=(180,), draws=200)
    attacked, clean = votes(board_of(many).rows["cae"], board_of(many).columns[0])
    assert (attacked.vote, attacked.worst, clean.worst) == (1, 0, 1)
    assert votes(board_of(result("cae", "fgsm", 0.3, adversarial=(1, 0, 1, 0))).rows["cae"], board.columns[0]) is None


def test_the_worst_of_many_draws_drives_honest_noise_down_and_its_rank_does_not_change():
    """A defense that is right in nine of ten draws of every image, attacked or not."""
    random = np.random.RandomState(0)
    counts = random.binomial(5, 0.9, size=(4, 400)).astype(np.uint8)
    made = result("noise", "pgd", 0.3, clean=counts[0], adversarial=counts[1], draws=5)
    made = replace(made, clean=Verdicts(5, *counts[:2]), adversarial=Verdicts(5, *counts[2:]))
    board = board_of(made)
    attacked, clean = votes(board.rows["noise"], board.columns[0])
    assert attacked.worst < 0.45 and clean.worst < 0.45 and attacked.vote > 0.98
    assert robust_accuracy(board.rows["noise"], board.columns).value == pytest.approx(0.9, abs=0.02)


@pytest.mark.parametrize("draws", [1, 5])
def test_few_draws_do_not_choose_the_weaker_attack(draws):
    """One attack leaves each image right in 40 % of its draws, two others in half: by luck they often look stronger."""
    random = np.random.RandomState(0)
    shares = {"bim": 0.5, "fgsm": 0.5, "pgd": 0.4}
    results = []
    for name, share in shares.items():
        drawn = random.binomial(draws, share, size=(2, 1000)).astype(np.uint8)
        made = result("cae", name, 0.3, clean=(draws,) * 1000, adversarial=drawn[0], draws=draws)
        results.append(replace(made, adversarial=Verdicts(draws, *drawn)))
    board = board_of(*results)
    assert robust_accuracy(board.rows["cae"], board.columns).value < 0.44


def test_where_images_differ_each_still_has_its_own_worst_attack():
    random = np.random.RandomState(0)
    drawn = random.binomial(5, np.where(np.arange(500) % 2, 0.95, 0.05), size=(2, 500)).astype(np.uint8)
    results = []
    for name, counts in (("fgsm", drawn), ("pgd", np.roll(drawn, 1, axis=1))):
        made = result("cae", name, 0.3, clean=(5,) * 500, adversarial=counts[0], draws=5)
        results.append(replace(made, adversarial=Verdicts(5, *counts)))
    board = board_of(*results)
    assert robust_accuracy(board.rows["cae"], board.columns).value < 0.08


def test_of_several_numbers_of_images_the_largest_counts():
    board = board_of(result("cae", clean=(1,) * 9), result("cae", clean=(0, 1)))
    assert accuracy(board.rows["cae"].clean).n == 9


def _made_with(source, created, **more):
    made = result("cae", created=created, **more)
    identity = {**made.identity, "defense": {**made.identity["defense"], "source": source}}
    return type(made)(**{**vars(made), "identity": identity})


def test_a_row_never_mixes_two_forms_of_one_defense():
    old = _made_with("a", "2026-01-01", clean=(0,) * 9)
    failed = _made_with("a", "2026-01-01", status="error", error="no")
    new = _made_with("b", "2026-01-02", clean=(1,) * 4)
    board = board_of(old, failed, new, result("none"))
    assert accuracy(board.rows["cae"].clean).value == 1
    assert board.rows["cae"].errors == []
    assert failures([old, failed, new]) == []


def test_results_before_another_classifier_are_not_mixed_in():
    new = result("none", created="2026-02-01")
    identity = {**new.identity, "classifier": {**new.identity["classifier"], "weights": "b" * 64}}
    board = board_of(result("cae"), type(new)(**{**vars(new), "identity": identity}))
    assert list(board.rows) == ["none"]


def test_a_defense_that_contradicts_itself_is_told():
    board = board_of(
        result("cae", probes={"forward_agreement": False}), result("none", probes={"forward_agreement": True})
    )
    assert board.rows["cae"].contradicts_itself
    assert not board.rows["none"].contradicts_itself


def test_a_defense_is_what_it_last_said_of_itself():
    later = "2026-01-02T00:00:00+00:00"
    before, after = result(differentiable=False), result(attack="pgd", eps=0.3, adversarial=(1, 0, 0, 0), created=later)
    failed = result(attack="fgsm", eps=0.3, differentiable=False, status="error", created="2026-01-03T00:00:00+00:00")
    (board,) = lay_out([before, after, failed])
    assert board.rows["cae"].newest is after


def test_l2_attacks_never_enter_the_worst_case():
    board = board_of(result("cae", "cw", 0.3, norm="l2", adversarial=(0, 0, 0, 0)))
    assert board.candidates(0.3) == []


def test_defenses_are_compared_on_the_images_that_they_share():
    board = board_of(
        result("none", "fgsm", 0.3, clean=(1,) * 8, adversarial=(0,) * 8),
        result("cae", "fgsm", 0.3, clean=(1,) * 6, adversarial=(1,) * 6),
        latency("cae"),
    )
    (pair,) = paired(board)
    assert (pair.first, pair.second, pair.n) == ("none", "cae", 6)
    assert pair.comparison.losses == 6
    assert pair.adjusted == pytest.approx(2 / 2**6)


def test_a_curve_is_of_the_images_that_all_sizes_share_and_never_rises():
    few = {"clean": made.bits(95)[:10], "adversarial": made.bits(10)[:10]}
    at_a_smaller_size = [result("it", "pgd", 0.1, estimator=way, **few) for way in ("bare", "bpda", "full")]
    at_the_mark = [made.cell("pgd", 0.3, 60, way) for way in ("bare", "bpda", "full")]
    found = made.board_of(*at_a_smaller_size, *at_the_mark)
    assert [at.n for _, at in curve(*found)] == [10, 10]
    assert [at.robust.value for _, at in curve(*found)] == [1.0, 1.0]
    assert standing(*found, 0.3).robust.value == 0.6
    left = {0.1: 40, 0.3: 60}
    blinder = [made.cell("pgd", eps, left[eps], way) for eps in left for way in ("bare", "bpda", "full")]
    points = [at for _, at in curve(*made.board_of(*blinder))]
    assert [at.robust.value for at in points] == [at.claimed.value for at in points] == [0.4, 0.4]
