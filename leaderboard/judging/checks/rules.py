"""All checks, in the order in which an audit tells them."""

from __future__ import annotations

from purification_bench.leaderboard.judging.checks.cheats import (
    draws_from_torch,
    knows_no_judged_image,
    remembers_nothing,
)
from purification_bench.leaderboard.judging.checks.contract import (
    attacks_run,
    keeps_its_contract,
    modes_agree,
    two_passes_agree,
)
from purification_bench.leaderboard.judging.checks.control import attacks_work_at_all
from purification_bench.leaderboard.judging.checks.finding import Check
from purification_bench.leaderboard.judging.checks.gradients import (
    gradient_auditable,
    gradients_exist,
    objective_improves,
    planted_examples_are_found,
)
from purification_bench.leaderboard.judging.checks.knowledge import (
    each_gradient_helps,
    gradients_beat_queries,
    noise_hides_nothing,
    seeing_helps,
)
from purification_bench.leaderboard.judging.checks.steps import (
    iterative_beats_single_step,
    more_steps_change_little,
    success_grows_with_eps,
    the_whole_box_breaks_it,
)

RULES: tuple[Check, ...] = (
    *(attacks_work_at_all, two_passes_agree, keeps_its_contract, knows_no_judged_image, remembers_nothing),
    *(draws_from_torch, modes_agree, gradient_auditable, attacks_run),
    *(gradients_exist, objective_improves, planted_examples_are_found, iterative_beats_single_step),
    *(more_steps_change_little, success_grows_with_eps, the_whole_box_breaks_it, seeing_helps, each_gradient_helps),
    *(gradients_beat_queries, noise_hides_nothing),
)
