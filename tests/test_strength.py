"""Attacks by strength and by cost: the table, the picture, and what a row needs for either."""

from __future__ import annotations

from make_boards import BLIND, CONTROL, bits, board_of, cell
from make_results import result

from purification_bench.leaderboard.judging.strength import by_kind, efforts
from purification_bench.leaderboard.showing.strength import draw_strength
from purification_bench.leaderboard.showing.tables.strength import by_strength


def attacked(steps, left, eps=0.3, estimator="full", **more):
    probes = {"gradients_per_image": float(steps)}
    options = {"steps": steps}
    return cell(f"pgd[steps={steps}]", eps, left, estimator, options=options, probes=probes, **more)


SEVERAL = [attacked(20, 70), attacked(100, 50), attacked(40, 60), attacked(40, 65, estimator="bpda")]
QUERIED = cell("square", 0.3, 55, "queries", probes={"queries_per_image": 500.4}, seconds={"attack": 200.0})


def test_the_strongest_comes_first_with_what_it_cost():
    board, row = board_of(*BLIND, *SEVERAL, QUERIED)
    assert [round(effort.left.value * 100) for effort in efforts(board, row)] == [50, 55, 60, 65, 70, 95]
    strongest, queried, *_ = efforts(board, row)
    assert (strongest.gradients, strongest.queries) == (100, None)
    assert (queried.gradients, queried.queries, queried.seconds) == (None, 500, 2.0)


def test_only_linf_attacks_of_the_mark_that_met_all_images_are_told():
    other = [attacked(60, 1, eps=0.1), cell("cw", 1.5, 2, norm="l2"), attacked(80, 3, status="error", error="no")]
    board, row = board_of(*BLIND, *SEVERAL, *other)
    assert min(effort.left.value for effort in efforts(board, row)) == 0.5


def test_kinds_are_those_that_ran_at_several_costs_the_cheapest_first():
    board, row = board_of(*BLIND, *SEVERAL, QUERIED)
    ((name, threat), found), *others = by_kind(board, row).items()
    assert (name, threat.gradient, others) == ("pgd", "true", [])
    assert [effort.gradients for effort in found] == [20, 40, 100]


def test_a_kind_is_told_of_the_images_that_all_of_it_met():
    """The first 40 images, of which the longer attack leaves half; of all 100 it leaves 80."""
    right = bits(100).copy()
    right[:20] = False
    few = result(
        "it", "pgd[steps=20]", 0.3, clean=bits(95)[:40], adversarial=bits(30)[:40], estimator="full",
        options={"steps": 20}, probes={"gradients_per_image": 20.0},
    )  # fmt: skip
    many = result(
        "it", "pgd[steps=40]", 0.3, clean=bits(95), adversarial=right, estimator="full", options={"steps": 40},
        probes={"gradients_per_image": 40.0},
    )  # fmt: skip
    board, row = board_of(*BLIND, few, many)
    (found,) = by_kind(board, row).values()
    assert [(effort.left.value, effort.left.n) for effort in found] == [(0.75, 40), (0.5, 40)]


def test_the_table_leaves_controls_out_and_the_page_without_attackers_has_none():
    noise = result("it", "noise", 0.3, clean=bits(95), adversarial=bits(94))
    board, _ = board_of(*BLIND, *SEVERAL, QUERIED, noise, CONTROL)
    table = by_strength(board)
    assert table is not None and len(table.rows) == 7
    blind, _ = board_of(*BLIND)
    assert by_strength(blind) is None


def test_it_is_drawn_where_an_attack_ran_at_several_costs():
    board, _ = board_of(*BLIND, *SEVERAL, QUERIED)
    figure = draw_strength(board)
    (panel,) = [axes for axes in figure.axes if axes.get_visible()]
    assert next(list(line.get_xdata()) for line in panel.get_lines()) == [20, 40, 100]
    assert panel.get_xscale() == "log"
    alone, _ = board_of(*BLIND, SEVERAL[0])
    assert draw_strength(alone) is None
