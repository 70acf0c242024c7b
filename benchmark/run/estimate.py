"""How long a plan would take, from what images have cost before; what nobody has timed is tried on a few images."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch

from purification_bench.attacks.seeding import seeded
from purification_bench.benchmark.registries import ATTACKS
from purification_bench.benchmark.run.cells import AccuracyCell, Cell, LatencyCell, Setting
from purification_bench.benchmark.run.costs import Costs, asked_by, attacking, classifying, purifying
from purification_bench.benchmark.run.latency import MAX_CALLS, MAX_SECONDS, MIN_CALLS, WARM_UP, WARM_UP_SECONDS
from purification_bench.benchmark.run.units import AttackUnit, LatencyUnit, Unit, units_of
from purification_bench.benchmark.run.workbench import Workbench
from purification_bench.defenses.faults import FAULTS
from purification_bench.defenses.spec import Spec

TRIED_IMAGES, TRIES = 8, 3
BACKWARD = 3.0
"""A gradient through a model, in passes of it, where nobody has timed one."""


@dataclass
class Estimator:
    """Adds up seconds, from the first of ``known`` that has each of them.

    Parameters
    ----------
    workbench:
        What is tried that nobody has timed; it loads what it tries.
    """

    known: Sequence[Costs]
    workbench: Workbench
    tried: dict[str, float] = field(default_factory=dict)
    """Seconds by key, for what had to be tried."""

    def seconds(self, cells: Sequence[Cell]) -> float:
        """Return the estimated seconds for ``cells``."""
        units = units_of(cells)
        total = sum(map(self._unit, units))
        return total + sum(self._judging(cell) for cell in _first_of_each_defense(cells))

    def _unit(self, unit: Unit) -> float:
        if isinstance(unit, LatencyUnit):
            return sum(map(self._timing, unit.cells))
        if isinstance(unit, AttackUnit):
            return self._attack(unit) + sum(map(self._judging, unit.cells))
        return 0.0  # clean images are judged once, whether their cell is missing or not

    def _judging(self, cell: Cell) -> float:
        setting = cell.setting
        one = self._purify(setting, cell.defense.spec) + self._classify(setting)
        return one * setting.n * cell.defense.passes

    def _attack(self, unit: AttackUnit) -> float:
        """Return the seconds of one attack at all sizes of a unit."""
        cell = unit.cells[0]
        use = cell.attack
        if use is None or use.file is not None:
            return 0.0
        attack = ATTACKS.create(use.attack)
        asked, times = asked_by(attack)
        sizes = 1 if attack.shares_sizes and not cell.seen else len({each.eps for each in unit.cells})
        return self._asking(cell, asked) * times * use.eot_samples * sizes * cell.setting.n

    def _asking(self, cell: AccuracyCell, asked: str) -> float:
        setting, use = cell.setting, cell.attack
        estimator = use.of.estimator if use else ""
        known = self._known(attacking(setting.classifier.label, estimator, cell.seen, asked))
        if known is not None:
            return known
        passes = self._classify(setting)
        if cell.seen and use:
            passes += self._purify(setting, use.stand_in or cell.defense.spec)
        return passes if asked == "query" else BACKWARD * passes

    def _timing(self, cell: LatencyCell) -> float:
        one = self._purify(cell.setting, cell.defense.spec) + self._classify(cell.setting)
        calls = min(MAX_CALLS, max(MIN_CALLS, MAX_SECONDS / max(one, 1e-6)))
        return 2 * one * calls + min(WARM_UP * one, WARM_UP_SECONDS) + 3 * one * cell.batch

    def _classify(self, setting: Setting) -> float:
        key = classifying(setting.classifier.label)
        known = self._known(key)
        return self._try(key, setting, self.workbench.classifier(setting)) if known is None else known

    def _purify(self, setting: Setting, spec: Spec) -> float:
        key = purifying(spec.label)
        known = self._known(key)
        if known is None:
            return self._try(key, setting, lambda x: self.workbench.defense(setting, spec).purify(x))
        return known

    def _known(self, key: str) -> float | None:
        if key in self.tried:
            return self.tried[key]
        return next((seconds for costs in self.known if (seconds := costs.of(key)) is not None), None)

    @torch.no_grad()
    def _try(self, key: str, setting: Setting, call: Callable[[torch.Tensor], object]) -> float:
        """Time a call on a few images: the median of several; nothing for one that fails, as its rows will say."""
        x = self.workbench.images(setting).x[:TRIED_IMAGES].to(self.workbench.device)
        spent = []
        with seeded(0, x.device):
            for _ in range(TRIES):
                begun = time.perf_counter()
                try:
                    call(x.clone())
                except FAULTS:
                    break
                spent.append((time.perf_counter() - begun) / len(x))
        self.tried[key] = statistics.median(spent) if spent else 0.0
        return self.tried[key]


def _first_of_each_defense(cells: Sequence[Cell]) -> list[Cell]:
    return list({(cell.setting.key, cell.defense.spec.label): cell for cell in cells}.values())


def in_words(seconds: float) -> str:
    """Return a duration for people."""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
