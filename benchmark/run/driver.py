"""Driving a run: what the store lacks goes to an executor as units, and what comes back is stored at once."""

from __future__ import annotations

from dataclasses import dataclass, field

from purification_bench.benchmark.run import adversarial
from purification_bench.benchmark.run.adversarial import AdversarialSet
from purification_bench.benchmark.run.cells import Cell, Plan
from purification_bench.benchmark.run.executors import Executor
from purification_bench.benchmark.run.executors.local import LocalExecutor
from purification_bench.benchmark.run.progress import Progress
from purification_bench.benchmark.run.units import units_of
from purification_bench.benchmark.run.workbench import Workbench
from purification_bench.leaderboard.results.result import Result
from purification_bench.leaderboard.results.store import Store


@dataclass
class Outcome:
    """What a run did."""

    computed: int = 0
    kept: int = 0
    failed: list[Result] = field(default_factory=list)


def missing_cells(plan: Plan, store: Store) -> list[Cell]:
    """Return the cells of ``plan`` that ``store`` lacks, or holds as failed."""
    return [cell for cell in plan.cells if not _is_stored(store, cell)]


def execute(plan: Plan, store: Store, workbench: Workbench, progress: Progress, *, force: bool = False) -> Outcome:
    """Compute in this process the cells that ``store`` lacks (all with ``force``)."""
    executor = LocalExecutor(workbench, None if force else store, progress)
    return drive(plan, store, executor, progress, force=force)


def drive(plan: Plan, store: Store, executor: Executor, progress: Progress, *, force: bool = False) -> Outcome:
    """Give the units of the cells that ``store`` lacks (all with ``force``) to an executor; store what it yields."""
    missing = missing_cells(plan, store)  # refuses what a later version wrote: force would write it over
    cells = list(plan.cells) if force else missing
    outcome = Outcome(kept=len(plan.cells) - len(cells))
    for made in executor.run(units_of(cells)):
        if isinstance(made, AdversarialSet):
            adversarial.write(store, made)
            continue
        store.put(made.result, made.examples if made.result.ok else None)
        outcome.computed += 1
        if not made.result.ok:
            outcome.failed.append(made.result)
        progress.cell_done(made.result)
    return outcome


def _is_stored(store: Store, cell: Cell) -> bool:
    result = store.get(cell.identity, cell.key)
    return result is not None and result.ok
