"""A result folder that holds a whole plan, without anything having been computed: for what only reads."""

from __future__ import annotations

from typing import Any

import numpy as np

from purification_bench.benchmark.environment import describe
from purification_bench.benchmark.run import config
from purification_bench.benchmark.run.cells import AccuracyCell, Plan
from purification_bench.benchmark.run.made import declared
from purification_bench.benchmark.run.plan import plan
from purification_bench.leaderboard.results.result import Result
from purification_bench.leaderboard.results.store import Store
from purification_bench.leaderboard.results.verdicts import Verdicts

ATTACKS = ("fgsm", "bim", "pgd", "apgd", "noise")


def flags_of(rows: int) -> dict[str, Any]:
    """Return what asks for so many defenses under five attacks at ten sizes: 51 cells each."""
    return {
        "datasets": ["mnist"],
        "classifiers": ["model_a"],
        "defenses": [f"defensegan[steps={k + 1}]" for k in range(rows)],
        "references": [],
        "attacks": list(ATTACKS),
        "threats": ["graybox"],
        "eps": [round(0.03 * (k + 1), 2) for k in range(10)],
        "latency": False,
        "n": 1000,
    }


def plan_of(rows: int) -> Plan:
    """Lay out the plan of so many defenses."""
    return plan(config.load("quick", None, flags_of(rows)), describe("cpu"))


def fill(store: Store, planned: Plan) -> None:
    """Put a made-up result into ``store`` for each cell of a plan."""
    store.prepare()
    random = np.random.default_rng(0)
    for cell in planned.cells:
        if not isinstance(cell, AccuracyCell):
            continue
        draws = cell.defense.draws if cell.defense.stochastic else 1
        counts = random.integers(0, draws + 1, cell.setting.n).astype(np.uint8)
        verdicts = Verdicts(draws, counts, counts)
        store.put(
            Result(
                identity=cell.identity,
                status="ok",
                facts=cell.defense.facts,
                declared=declared(cell),
                environment=describe("cpu"),
                created="2026-01-01T00:00:00+00:00",
                clean=verdicts,
                adversarial=verdicts if cell.attack else None,
            )
        )
