"""In this process, one unit after another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from purification_bench.benchmark.run.compute import compute
from purification_bench.benchmark.run.made import Made
from purification_bench.benchmark.run.progress import Progress
from purification_bench.benchmark.run.units import Unit, named
from purification_bench.benchmark.run.workbench import Workbench
from purification_bench.leaderboard.results.store import Store


@dataclass(frozen=True)
class LocalExecutor:
    """Computes units on one device, with one workbench."""

    workbench: Workbench
    store: Store | None
    """Where adversarial sets are read from that are there already, and what earlier attacks broke."""
    progress: Progress
    anew: bool = False
    """Make all sets."""

    def run(self, units: Sequence[Unit]) -> Iterator[Made]:
        """Yield what each unit gives; what no later unit needs is dropped after it."""
        self.workbench.expect(units)
        for unit in units:
            with self.workbench.profile.unit(named(unit)):
                yield from compute(unit, self.workbench, self.store, self.progress, anew=self.anew)
            self.workbench.done(unit)
