"""What an attack is given that leaves broken images alone: who says that one is broken, and where it may start."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from purification_bench.attacks.pursuit import Confirmed
from purification_bench.benchmark.run import adversarial
from purification_bench.benchmark.run.cells import AccuracyCell
from purification_bench.benchmark.run.workbench import Workbench
from purification_bench.defenses.base import DefendedClassifier
from purification_bench.leaderboard.results.store import Store

CONFIRMATIONS = 10
"""Draws of a random defense that must all be wrong for an image to be broken for good."""


def confirmed(cell: AccuracyCell, workbench: Workbench) -> Confirmed:
    """Return what says that an image is broken: the defense itself, whatever the attacker differentiates."""
    setting = cell.setting
    defended = DefendedClassifier(workbench.classifier(setting), workbench.defense(setting, cell.defense.spec))
    return Confirmed(defended.eval(), CONFIRMATIONS if cell.defense.stochastic else 1)


def found_smaller(cell: AccuracyCell, store: Store) -> Tensor | None:
    """Return the images ``(n, C, H, W)`` that a cell's attack made at the next smaller size; None: it made none."""
    same = [each for each in cell.after or () if _differ_in_size(each.identity["attack"], cell.identity["attack"])]
    for smaller in sorted(same, key=lambda each: -each.identity["attack"]["threat"]["eps"]):
        result = store.get(smaller.identity, smaller.key)
        if result is not None and result.adversarial_set is not None:
            made = adversarial.read(store, result.adversarial_set["key"])
            return None if made is None else made.x_adv
    return None


def _differ_in_size(first: Mapping[str, Any] | None, second: Mapping[str, Any]) -> bool:
    return first is not None and all(first[part] == second[part] for part in ("label", "estimator"))
