"""How long a plan would take, from what images have cost before; what nobody has timed is tried on a few images.

Every time is a range: the machine does other things as well, and timings may be another machine's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from purification_bench.benchmark.facts import of_attack
from purification_bench.benchmark.run.calls import MAX_CALLS, MAX_SECONDS, MIN_CALLS, WARM_UP, WARM_UP_SECONDS
from purification_bench.benchmark.run.cells import AccuracyCell, Cell, LatencyCell, Setting
from purification_bench.benchmark.run.costs import THIS_MACHINE, Costs, attacking, classifying, purifying
from purification_bench.benchmark.run.units import AttackUnit, LatencyUnit, Unit, units_of
from purification_bench.defenses.spec import Spec

if TYPE_CHECKING:
    from purification_bench.benchmark.run.trial import Trial

BACKWARD = 3.0
"""A gradient through a model, in passes of it, where nobody has timed one."""


class Range(NamedTuple):
    """The least and the most seconds that are likely."""

    low: float
    high: float


def likely(known: Sequence[Costs], trial: Callable[[], Trial], cells: Sequence[Cell]) -> Range:
    """Return how long ``cells`` take, by the first of ``known`` that has each cost.

    Parameters
    ----------
    trial:
        Gives what tries things that nobody has timed; called where there are any.
    """
    tried: dict[str, float] = {}
    return Range(*(Estimator(known, trial, end, tried).seconds(cells) for end in (0, 1)))


@dataclass
class Estimator:
    """Adds up seconds at one end of what is likely."""

    known: Sequence[Costs]
    trial: Callable[[], Trial]
    end: int
    """0: the least that is likely; 1: the most."""
    tried: dict[str, float]
    """Seconds by key, for what had to be tried."""

    def seconds(self, cells: Sequence[Cell]) -> float:
        """Return the seconds for ``cells``."""
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
        attack = of_attack(use.attack)
        sizes = 1 if attack.shares_sizes and not cell.seen else len({each.eps for each in unit.cells})
        return self._asking(cell, attack.asked) * attack.times * use.eot_samples * sizes * cell.setting.n

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
        return self._tried(classifying(setting.classifier.label), lambda: self.trial().classify(setting))

    def _purify(self, setting: Setting, spec: Spec) -> float:
        return self._tried(purifying(spec.label), lambda: self.trial().purify(setting, spec))

    def _tried(self, key: str, trial: Callable[[], float]) -> float:
        """Return what is known of a cost; tried once, where nothing is."""
        known = self._known(key)
        if known is None:
            self.tried[key] = trial()
            return self.tried[key] * THIS_MACHINE[self.end]
        return known

    def _known(self, key: str) -> float | None:
        if key in self.tried:
            return self.tried[key] * THIS_MACHINE[self.end]
        there = ((seconds, costs) for costs in self.known if (seconds := costs.of(key)) is not None)
        return next((seconds * costs.spread[self.end] for seconds, costs in there), None)


def _first_of_each_defense(cells: Sequence[Cell]) -> list[Cell]:
    return list({(cell.setting.key, cell.defense.spec.label): cell for cell in cells}.values())


def in_words(spent: Range) -> str:
    """Return a duration for people, in the unit that its longer end asks for.

    >>> in_words(Range(40, 100)), in_words(Range(100, 400)), in_words(Range(5000, 20000)), in_words(Range(0.2, 0.9))
    ('40 to 100 s', '2 to 7 min', '1.4 to 5.6 hours', 'a second')
    """
    low, high = spent
    if high < 1:
        return "a second"
    if high < 120:
        return f"{low:.0f} to {high:.0f} s"
    if high < 2 * 3600:
        return f"{max(1, low / 60):.0f} to {high / 60:.0f} min"
    return f"{low / 3600:.1f} to {high / 3600:.1f} hours"
