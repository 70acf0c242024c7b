"""What everything that computes begins with: a plan, the device that it is for, and what carries it out.

Planning needs no torch; what computes is loaded when there is something to compute.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from purification_bench.benchmark.assets import zoo
from purification_bench.benchmark.environment import describe, device_word
from purification_bench.benchmark.memo import MEMO
from purification_bench.benchmark.run import costs
from purification_bench.benchmark.run.cells import Cell, Plan
from purification_bench.benchmark.run.config import RunConfig
from purification_bench.benchmark.run.estimate import in_words, likely
from purification_bench.benchmark.run.missing import Outcome, missing_cells, put_edition
from purification_bench.benchmark.run.plan import plan
from purification_bench.benchmark.run.progress import Progress
from purification_bench.leaderboard.results.result import Result
from purification_bench.leaderboard.results.store import Store

if TYPE_CHECKING:
    from purification_bench.benchmark.run.trial import Trial
    from purification_bench.benchmark.run.workbench import Workbench


@dataclass(frozen=True)
class Places:
    """Where images and weights are looked for before the places that every run looks in."""

    data_dir: Path | None = None
    zoo: Path | None = None


@dataclass(frozen=True)
class Session:
    """A plan, the device that it is for (``cpu`` or ``cuda``), and where it finds what it needs."""

    plan: Plan
    device: str
    machine: Mapping[str, Any]
    places: Places

    def workbench(self) -> Workbench:
        """Return the workbench; raise ``UserError`` for images or classifiers that cannot be had."""
        bench = self._bench()
        bench.rehearse(self.plan)
        return bench

    def execute(
        self, store: Store, progress: Progress, workbench: Workbench | None = None, *, force: bool = False
    ) -> Outcome:
        """Compute what ``store`` lacks, or all with ``force``; nothing is written before everything can be had."""
        bench = (workbench or self.workbench()) if self.todo(store, force=force) else None
        store.prepare()
        put_edition(self.plan, store)
        if bench is None:
            return Outcome(kept=len(self.plan.cells))
        from purification_bench.benchmark.run import driver

        return driver.execute(self.plan, store, bench, progress, force=force)

    def todo(self, store: Store, *, force: bool = False) -> int:
        """Return how many cells ``execute`` would compute."""
        return len(self.plan.cells if force else missing_cells(self.plan, store))

    def results(self, store: Store) -> list[Result]:
        """Return what ``store`` holds of the plan."""
        keys = {cell.key for cell in self.plan.cells}
        return [result for result in store.results() if result.key in keys]

    def estimated(self, cells: Sequence[Cell], store: Store) -> str:
        """Say how long ``cells`` would take: by what the store holds of this machine, else by published timings.

        Those are of CPUs: on another device what the store does not hold is tried.
        """
        here = costs.learn(store.results() if store.cells.is_dir() else (), self.machine["device_name"])
        known = (here, costs.reference()) if self.device == "cpu" else (here,)
        spent = in_words(likely(known, cache(self._trial), cells))
        MEMO.save()
        return spent if here.seconds or not cells else f"{spent} (by timings of {known[-1].machine})"

    def _trial(self) -> Trial:
        from purification_bench.benchmark.run.trial import Trial

        return Trial(self._bench())

    def _bench(self) -> Workbench:
        from purification_bench.benchmark.environment import pick_device
        from purification_bench.benchmark.run.workbench import Workbench

        return Workbench(pick_device(self.device), self.places.data_dir, zoo.search_path(self.places.zoo))


def begin(asked: RunConfig, places: Places) -> Session:
    """Plan what is asked for; ``plan.warnings`` says what is left out."""
    device = device_word(asked.device)
    machine = describe(device)
    session = Session(plan(asked, machine, places.zoo), device, machine, places)
    MEMO.save()
    return session
