"""What running a unit gives, piece by piece, and how results are written down."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from purification_bench.benchmark.registries import ATTACKS
from purification_bench.benchmark.run.adversarial import AdversarialSet
from purification_bench.benchmark.run.cells import AccuracyCell, Cell
from purification_bench.benchmark.run.workbench import Workbench
from purification_bench.leaderboard.results.declared import AttackTraits, Declared, DefenseTraits, Threat
from purification_bench.leaderboard.results.result import Result

SUBMITTED = AttackTraits("nothing", iterates=False, single_step=False, control=False, transfers=True)
"""Of somebody else's images nothing is known."""


@dataclass(frozen=True)
class CellResult:
    """A cell's result, with the example images that are kept beside it."""

    result: Result
    examples: dict[str, NDArray[np.uint8]] | None = None


Made: TypeAlias = AdversarialSet | CellResult
"""What the driver stores."""


def result_of(workbench: Workbench, cell: Cell, **outcome: Any) -> Result:
    """Return a cell's result with what it was computed with, and what its attack and threat declare."""
    setting = cell.setting
    facts = {**cell.defense.facts, "adversarial_eps": workbench.classifier(setting).adversarial_eps}
    return Result(
        identity=cell.identity,
        status="error" if "error" in outcome else "ok",
        facts=facts,
        environment=workbench.environment,
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        declared=declared(cell),
        **outcome,
    )


def declared(cell: Cell) -> Declared:
    """Return what a result records besides its identity of who attacked, and how: judging asks nothing else."""
    use = cell.attack if isinstance(cell, AccuracyCell) else None
    attack = None
    if use is not None:
        attack = AttackTraits(**ATTACKS.create(use.attack).declared()) if use.file is None else SUBMITTED
    threat = Threat(**use.of.declared()) if use else None
    return Declared(attack, threat, DefenseTraits(cell.defense.undefended))
