"""What running a unit gives, piece by piece, and how results are written down."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from purification_bench.benchmark.registries import ATTACKS
from purification_bench.benchmark.run.adversarial import AdversarialSet
from purification_bench.benchmark.run.cells import AccuracyCell, Cell
from purification_bench.benchmark.run.workbench import Workbench
from purification_bench.leaderboard.results.result import Result


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


def declared(cell: Cell) -> Mapping[str, Any]:
    """Return what a result records besides its identity of who attacked, and how: judging asks nothing else."""
    use = cell.attack if isinstance(cell, AccuracyCell) else None
    attack = ATTACKS.create(use.attack).declared() if use and use.file is None else None
    if use and use.file is not None:
        attack = {"needs": "nothing", "iterates": False, "single_step": False, "control": False}
    return {
        "attack": attack,
        "threat": use.of.declared() if use else None,
        "defense": {"undefended": cell.defense.undefended},
    }
