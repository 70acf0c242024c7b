"""The audit's rules, each on results made by hand: one that it must pass, one that it must fail."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from make_boards import BLIND, CONTROL, N, bits, board_of, cell
from make_results import result
from shown import column, note, rows

from purification_bench.leaderboard.judging import audit
from purification_bench.leaderboard.judging.checks import cheats, contract, control, gradients, knowledge, steps
from purification_bench.leaderboard.judging.checks.evidence import smallest_margin
from purification_bench.leaderboard.judging.checks.finding import Finding
from purification_bench.leaderboard.judging.checks.rules import RULES
from purification_bench.leaderboard.judging.layout import lay_out
from purification_bench.leaderboard.showing.tables import attackers, audits, standings
from purification_bench.leaderboard.showing.tables.standings import ranked

PLANTED = {"planted_images": 16, "planted_by_chance_share": 0.0}


def finding(rule, *results) -> Finding:
    return rule(*board_of(*results))


def _few_and_many_steps(few, many):
    """The headline's attackers, one of whom ran with twice the steps, too."""
    bpda = cell("pgd", 0.3, 70, "bpda", options={"steps": 20})
    steps = {20: few, 40: many}
    white_box = [cell(f"pgd[steps={k}]", 0.3, left, options={"steps": k}) for k, left in steps.items()]
    return [*BLIND, bpda, *white_box]


CASES = {
    steps.iterative_beats_single_step: (
        [cell("fgsm", 0.3, 40), cell("pgd", 0.3, 10)],
        [cell("fgsm", 0.3, 40), cell("pgd", 0.3, 60)],
    ),
    steps.success_grows_with_eps: (
        [cell("pgd", 0.1, 40), cell("pgd", 0.3, 42)],
        [cell("pgd", 0.1, 40), cell("pgd", 0.3, 60)],
    ),
    steps.the_whole_box_breaks_it: ([cell("pgd", 1.0, 9)], [cell("pgd", 1.0, 40)]),
    knowledge.seeing_helps: (
        [cell("pgd", 0.3, 10), cell("pgd", 0.3, 80, "bare")],
        [cell("pgd", 0.3, 60), cell("pgd", 0.3, 20, "bare")],
    ),
    knowledge.each_gradient_helps: (
        [cell("pgd", 0.3, 10), cell("pgd", 0.3, 12, "bpda"), cell("fgsm", 0.3, 11, "bare")],
        [cell("pgd", 0.3, 10), cell("pgd", 0.3, 60, "bpda"), cell("fgsm", 0.3, 11, "bare")],
    ),
    knowledge.gradients_beat_queries: (
        [cell("apgd", 0.3, 10), cell("square", 0.3, 50, "queries")],
        [cell("apgd", 0.3, 60), cell("square", 0.3, 50, "queries")],
    ),
    gradients.gradients_exist: (
        [cell("pgd", 0.3, 9, probes={"zero_gradient_share": 0.0, "non_finite_gradient_share": 0.01})],
        [cell("pgd", 0.3, 9, probes={"zero_gradient_share": 0.5, "non_finite_gradient_share": 0.0})],
    ),
    gradients.objective_improves: (
        [cell("pgd", 0.3, 9, probes={"objective_improved_share": 0.9})],
        [cell("pgd", 0.3, 9, probes={"objective_improved_share": 0.2})],
    ),
    gradients.planted_examples_are_found: (
        [cell("pgd", 0.3, 9, probes={**PLANTED, "planted_found_share": 0.9})],
        [cell("pgd", 0.3, 9, probes={**PLANTED, "planted_found_share": 0.1})],
    ),
    contract.two_passes_agree: (
        [cell("pgd", 0.3, 9, probes={"forward_agreement": True})],
        [cell("pgd", 0.3, 9, probes={"forward_agreement": False})],
    ),
    contract.keeps_its_contract: (
        [cell("pgd", 0.3, 9, probes={"differs_by_neighbours": 0.0})],
        [cell("pgd", 0.3, 9, probes={"differs_with_gradients": 1.0})],
    ),
    contract.modes_agree: (
        [cell("pgd", 0.3, 9, probes={"differs_in_train_mode": 0.0})],
        [cell("pgd", 0.3, 9, probes={"differs_in_train_mode": 1.0})],
    ),
    gradients.gradient_auditable: ([cell("pgd", 0.3, 9)], None),
    contract.attacks_run: (
        [cell("pgd", 0.3, 9)],
        [cell("pgd", 0.3, 9, status="error", error="RuntimeError: no grad_fn")],
    ),
    steps.more_steps_change_little: (_few_and_many_steps(60, 59), _few_and_many_steps(60, 40)),
    cheats.knows_no_judged_image: (
        [cell("pgd", 0.3, 9, probes={"error_on_judged": 0.02, "error_on_fresh": 0.025})],
        [cell("pgd", 0.3, 9, probes={"error_on_judged": 0.005, "error_on_fresh": 0.025})],
    ),
    cheats.remembers_nothing: (
        [cell("pgd", 0.3, 9, probes={"differs_after_clean_images": 0.0})],
        [cell("pgd", 0.3, 9, probes={"differs_after_clean_images": 1.0})],
    ),
    cheats.draws_from_torch: (
        [cell("pgd", 0.3, 9, probes={"draws_elsewhere": False})],
        [cell("pgd", 0.3, 9, probes={"draws_elsewhere": True})],
    ),
    knowledge.noise_hides_nothing: (
        [cell("pgd", 0.3, 9), cell("pgd", 0.3, 8, "frozen")],
        [cell("pgd", 0.3, 60), cell("pgd", 0.3, 8, "frozen")],
    ),
    control.attacks_work_at_all: (
        [cell("pgd", 0.3, 9), result("none", "pgd", 0.3, clean=bits(99), adversarial=bits(1))],
        [cell("pgd", 0.3, 9), result("none", "pgd", 0.3, clean=bits(99), adversarial=bits(60))],
    ),
}


def test_every_rule_has_its_cases():
    assert set(CASES) == set(RULES)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_a_rule_passes_what_it_should(rule):
    found = finding(rule, *CASES[rule][0])
    assert (found.state, found.gates) == ("passed", found.gates), found.evidence


NO_FIGURE = {contract.two_passes_agree, gradients.gradient_auditable, cheats.draws_from_torch}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_a_passed_check_gives_its_numbers_and_one_that_did_not_run_its_reason(rule):
    passed = finding(rule, *CASES[rule][0])
    assert rule in NO_FIGURE or any(character.isdigit() for character in passed.evidence)
    idle = finding(rule)
    if rule is not gradients.gradient_auditable:
        assert idle.state == "not run" and idle.evidence


def test_what_a_defense_does_not_claim_is_not_checked():
    probes = {"forward_agreement": True, "zero_gradient_share": 0.0, "non_finite_gradient_share": 0.0}

    def alone(**facts):
        made = [result("it", clean=bits(95), **facts), cell("pgd", 0.3, 40, "bpda", probes=probes, **facts)]
        (board,) = lay_out(made)
        return board, board.rows["it"]

    assert gradients.gradients_exist(*alone()).state == contract.two_passes_agree(*alone()).state == "passed"
    assert gradients.gradients_exist(*alone(differentiable=False)).evidence == "it declares none"
    assert contract.two_passes_agree(*alone(draws=10)).evidence == "it says that it is stochastic"


def test_a_constant_that_is_right_by_luck_is_not_accused():
    """Four of 24 images of ten classes: more than chance, and no more than luck."""
    few = np.arange(24) < 4
    made = [result("it", clean=few)]
    for estimator in ("full", "bpda"):
        probes = {"objective_improved_share": 0.0, "zero_gradient_share": 1.0}
        made.append(result("it", "pgd", 0.3, clean=few, adversarial=few, estimator=estimator, probes=probes))
    (board,) = lay_out([*made, result("it", "fgsm", 0.3, clean=few, adversarial=few, estimator="bare"), CONTROL])
    findings = audit.audit(board, board.rows["it"])
    assert audit.gating(findings) == []
    assert audit.verdict(board, board.rows["it"]) == "not shown to be better than chance, on 24 images"


@pytest.mark.parametrize("rule", [r for r in RULES if CASES[r][1]], ids=lambda rule: rule.__name__)
def test_a_rule_fails_what_it_should_and_says_why(rule):
    found = finding(rule, *CASES[rule][1])
    assert found.state == "failed"
    assert len(found.evidence) > 10


def under_other_names(made):
    """The same result of a plug-in attack that no list knows, under a threat that none knows."""
    attack, threat = made.identity["attack"], made.declared.threat
    if not attack:
        return made
    named = {part: attack[part].replace("pgd", "mifgsm") for part in ("name", "label")}
    word = threat.word.replace("whitebox", "unrolled")
    estimator = attack["estimator"].replace("full", "unrolled")
    return replace(
        made,
        identity={**made.identity, "attack": {**attack, **named, "estimator": estimator}},
        declared=replace(made.declared, threat=replace(threat, word=word)),
    )


@pytest.mark.parametrize("fails", [False, True], ids=["passes", "fails"])
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_a_plug_in_attack_is_judged_by_what_it_declares_as_ours_are(rule, fails):
    results = CASES[rule][fails] or []
    known, unknown = finding(rule, *results), finding(rule, *map(under_other_names, results))
    renamed = known.evidence.replace("pgd", "mifgsm").replace("whitebox", "unrolled")
    assert (unknown.state, unknown.gates, unknown.evidence) == (known.state, known.gates, renamed)


def test_a_plug_in_attack_makes_a_headline_as_ours_do():
    seeing = [cell("pgd", 0.3, 60, how, options={"steps": 20}) for how in ("full", "bpda")]
    results = [*BLIND, CONTROL, *map(under_other_names, seeing), under_other_names(CONTROL)]
    board, row = board_of(*results)
    assert {column.attack for column in board.headline(row, 0.3)} == {"fgsm", "mifgsm"}
    assert control.attacks_work_at_all(board, row).state == "passed"
    assert audit.verdict(board, row) == "stands"


@pytest.mark.parametrize(
    "rule", [rule for rule in RULES if rule is not gradients.gradient_auditable], ids=lambda rule: rule.__name__
)
def test_what_was_not_run_is_not_passed(rule):
    assert finding(rule).state == "not run"


@pytest.mark.parametrize(
    ("many", "verdict"), [(40, "not converged: more steps took 20.0 points"), (59, "stands"), (60, "stands")]
)
def test_where_more_steps_take_more_there_is_no_rank(many, verdict):
    undefended = [
        result("none", f"pgd[steps={k}]", 0.3, clean=bits(99), adversarial=bits(0), options={"steps": k})
        for k in (20, 40)
    ]
    board, row = board_of(*_few_and_many_steps(60, many), CONTROL, *undefended)
    assert audit.verdict(board, row) == verdict
    assert [rank for rank, found in ranked(board) if found is row] == [1 if verdict == "stands" else None]


def test_the_fall_is_over_the_images_that_the_longer_attack_met():
    of_twenty = {"clean": bits(95)[:20], "adversarial": bits(10)[:20], "estimator": "full", "options": {"steps": 80}}
    board, row = board_of(*_few_and_many_steps(60, 60)[:-1], result("it", "pgd[steps=80]", 0.3, **of_twenty))
    assert steps.fall_by_more_steps(board, row)[1:] == (1.0, 0.5)


def test_only_the_longest_attacks_are_what_more_steps_are():
    """Of 25, 100 and 200 steps the last: what 100 leave is what the row has without it."""
    longest = {"clean": bits(95)[:60], "adversarial": bits(40)[:60], "estimator": "full", "options": {"steps": 200}}
    weak, *known = [cell(f"pgd[steps={k}]", 0.3, left, options={"steps": k}) for k, left in ((25, 60), (100, 41))]
    bpda = cell("pgd", 0.3, 70, "bpda", options={"steps": 20})
    board, row = board_of(*BLIND, bpda, weak, *known, result("it", "pgd[steps=200]", 0.3, **longest))
    (column,), before, after = steps.fall_by_more_steps(board, row)
    assert (column.attack, before, after) == ("pgd[steps=200]", 41 / 60, 40 / 60)


def test_the_editions_of_the_attackers_behind_a_headline_are_told():
    newer = [cell("pgd[steps=9]", 0.3, 50, way, edition="adaptive 2") for way in ("bpda", "full")]
    board, _ = board_of(*_few_and_many_steps(60, 60), *newer)
    assert column(standings.worth(board), "attackers") == "adaptive 2: 2 of 5"


def test_what_declares_no_gradient_has_no_rank():
    results = [
        result("it", clean=bits(95), differentiable=False),
        result("it", "pgd", 0.3, clean=bits(95), adversarial=bits(60), estimator="bpda", differentiable=False),
        result("it", "pgd", 0.3, clean=bits(95), adversarial=bits(80), differentiable=False),
        result("none", clean=bits(99)),
        CONTROL,
        result("none", "pgd", 0.3, clean=bits(99), adversarial=bits(0), estimator="bpda"),
        result("none", "pgd", 0.3, clean=bits(99), adversarial=bits(0), estimator="full"),
    ]
    (board,) = lay_out(results)
    assert gradients.gradient_auditable(board, board.rows["it"]).state == "failed"
    assert [(rank, row.defense) for rank, row in ranked(board)] == [(None, "none"), (None, "it")]
    assert audit.verdict(board, board.rows["it"]) == "fails 'gradient auditable'"


def test_a_surrogate_that_does_not_climb_accuses_no_defense():
    flat = cell("pgd", 0.3, 60, "bpda", probes={"objective_improved_share": 0.4})
    steep = cell("pgd", 0.3, 60, probes={"objective_improved_share": 0.9})
    found = finding(gradients.objective_improves, flat, steep)
    assert (found.state, found.gates) == ("failed", False)
    assert finding(gradients.objective_improves, cell("pgd", 0.3, 60, probes=flat.probes)).gates


def test_a_small_margin_is_no_flag():
    few = finding(steps.iterative_beats_single_step, cell("fgsm", 0.3, 40), cell("pgd", 0.3, 42))
    assert few.state == "passed"


def test_the_smallest_margin_that_shows_is_the_smallest_that_is_flagged():
    _, row = board_of(cell("fgsm", 0.3, 10), cell("pgd", 0.3, 10))
    points = round(N * smallest_margin(row))
    for margin, state in ((points, "failed"), (points - 1, "passed")):
        found = finding(steps.iterative_beats_single_step, cell("fgsm", 0.3, 10), cell("pgd", 0.3, 10 + margin))
        assert found.state == state


def test_useless_gradients_gate_where_there_is_no_other_attack():
    useless = {"zero_gradient_share": 1.0, "non_finite_gradient_share": 0.0}
    alone = finding(gradients.gradients_exist, cell("pgd", 0.3, 60, probes=useless))
    beside = finding(gradients.gradients_exist, cell("pgd", 0.3, 60, probes=useless), cell("pgd", 0.3, 9, "bpda"))
    assert alone.gates
    assert not beside.gates


def test_a_constant_image_needs_no_gradient():
    flat = {"zero_gradient_share": 1.0, "non_finite_gradient_share": 0.0, "objective_improved_share": 0.0}
    chance = {"clean": bits(10), "adversarial": bits(10)}
    cells = [result("it", "pgd", 0.3, estimator=how, probes=flat, **chance) for how in ("full", "bpda")]
    bare = result("it", "pgd", 0.3, **chance)
    (board,) = lay_out([result("it", clean=bits(10)), CONTROL, bare, *cells])
    row = board.rows["it"]
    assert all(finding.state != "failed" for finding in audit.audit(board, row))
    assert audit.verdict(board, row) == "not robust: no better than chance"


def test_the_control_is_the_classifier_of_standard_training():
    """Before an adversarially trained classifier nothing breaks, and that is no fault of the attack."""
    hard = result("none", "pgd", 0.3, clean=bits(99), adversarial=bits(90))
    hard.facts["adversarial_eps"] = 0.3
    assert finding(control.attacks_work_at_all, cell("pgd", 0.3, 9), hard).state == "not run"


def test_the_tables_say_what_was_found():
    seeing = [cell("fgsm", 0.3, 40), cell("pgd", 0.3, 60), cell("pgd", 0.3, 50, "bpda")]
    board, _ = board_of(*seeing, cell("pgd", 0.3, 90, "bare"))
    assert rows(attackers.by_threat(board)) == [
        ["it", "0.3", "90.0 [82.6, 94.5]", "50.0 [40.4, 59.6]", "40.0 [30.9, 49.8]", "40.0 [30.9, 49.8]", "100"]
    ]
    (row,) = rows(audits.checks(board))
    assert "iterative beats single-step" in row[1]
    assert "one step leaves 40.0 %, many steps 60.0 %" in note(audits.checks(board))
    (verdict,) = rows(standings.summary(board))
    assert verdict[-1].startswith("fails 'iterative beats single-step'")


def test_without_an_attacker_who_sees_it_there_is_nothing_to_audit():
    board, row = board_of(cell("pgd", 0.3, 90, "bare"))
    assert not audit.audited(board, row)
    assert audits.checks(board) is standings.worth(board) is attackers.by_threat(board) is None
