"""How long a run would take: a range, from stored timings, shipped ones, or a few calls."""

from __future__ import annotations

import doctest
import functools
import time
from typing import ClassVar

import pytest
import torch
from make_results import ENVIRONMENT, result

from purification_bench.benchmark.registries import DEFENSES
from purification_bench.benchmark.run import config, costs, estimate, trial
from purification_bench.benchmark.run.costs import OTHER_MACHINE, THIS_MACHINE, Costs
from purification_bench.benchmark.run.plan import plan
from purification_bench.benchmark.run.workbench import Workbench
from purification_bench.defenses.base import Defense

CPU = torch.device("cpu")
TRIAL = functools.cache(lambda: trial.Trial(Workbench(CPU, None, [])))
MACHINE = {"device": "cpu", "device_name": "a processor", "threads": 2}
ALL = {
    "classify matched": 0.01,
    "purify slow": 0.1,
    "purify none": 0.0,
    "gradient matched bare": 0.02,
}
N = 40


class Slow(Defense):
    """Sleeps, and longest at its first and third calls."""

    naps: ClassVar[list[float]] = []

    def purify(self, x):
        time.sleep(self.naps.pop(0))
        return x


@pytest.fixture
def cells():
    asked = {"datasets": ["shapes"], "classifiers": ["matched"], "defenses": ["slow"], "references": ["none"]}
    asked |= {"threats": ["graybox"], "attacks": ["fgsm"], "eps": [0.1], "n": N, "latency": False}
    Slow.naps[:] = [0.3, 0.016, 0.2, 0.016, 0.016, 0.016]
    with DEFENSES.lent("slow", Slow):
        yield [cell for cell in plan(config.load(None, None, asked), MACHINE).cells if cell.defense.spec.name == "slow"]


def test_known_costs_are_added_up(cells):
    """Clean and attacked images are judged once each; the attack is one gradient of the bare classifier."""
    found = estimate.likely([Costs("here", ALL, (0.5, 2.0))], TRIAL, cells)
    expected = N * (2 * 0.11 + 0.02)
    assert found == pytest.approx((0.5 * expected, 2 * expected))


def test_the_machines_own_timings_come_first_and_are_more_certain(cells):
    own = Costs("here", {"purify slow": 1.0}, THIS_MACHINE)
    low, high = estimate.likely([own, Costs("there", ALL)], TRIAL, cells)
    assert low == pytest.approx(N * (THIS_MACHINE[0] * 2 * 1.0 + OTHER_MACHINE[0] * (2 * 0.01 + 0.02)))
    assert high == pytest.approx(N * (THIS_MACHINE[1] * 2 * 1.0 + OTHER_MACHINE[1] * (2 * 0.01 + 0.02)))


def test_what_nobody_has_timed_is_tried_in_several_short_calls(cells):
    """One slow call, as when something else runs, does not count."""
    known = Costs("here", {key: 0.0 for key in ALL if key != "purify slow"}, THIS_MACHINE)
    low, high = estimate.likely([known], TRIAL, cells)
    once = N * 2 * 0.016 / trial.IMAGES
    assert THIS_MACHINE[0] * once <= low < 2 * once
    assert high / low == pytest.approx(THIS_MACHINE[1] / THIS_MACHINE[0])
    assert Slow.naps == []


def test_timings_of_this_machine_are_learnt_from_its_results():
    made = [result("cae", clean=(1,) * 10, seconds={"purify": seconds, "classify": 1.0}) for seconds in (1, 2, 90)]
    here = costs.learn(made, ENVIRONMENT["device_name"])
    assert here.of("purify cae") == 0.2
    assert here.spread == THIS_MACHINE
    assert not costs.learn(made, "another").seconds


def test_durations_are_words():
    assert doctest.testmod(estimate).failed == 0
