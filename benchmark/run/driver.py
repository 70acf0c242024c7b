"""Driving a run: what the store lacks goes to an executor as units, and what comes back is stored at once."""

from __future__ import annotations

from purification_bench.benchmark.run import adversarial
from purification_bench.benchmark.run.adversarial import AdversarialSet
from purification_bench.benchmark.run.cells import Plan
from purification_bench.benchmark.run.executors import Executor
from purification_bench.benchmark.run.executors.local import LocalExecutor
from purification_bench.benchmark.run.missing import Outcome, missing_cells
from purification_bench.benchmark.run.profile import Profile
from purification_bench.benchmark.run.progress import Progress
from purification_bench.benchmark.run.units import units_of
from purification_bench.benchmark.run.workbench import Workbench
from purification_bench.leaderboard.results.store import Store


def execute(plan: Plan, store: Store, workbench: Workbench, progress: Progress, *, force: bool = False) -> Outcome:
    """Compute in this process the cells that ``store`` lacks (all with ``force``)."""
    executor = LocalExecutor(workbench, store, progress, anew=force)
    return drive(plan, store, executor, progress, workbench.profile, force=force)


def drive(
    plan: Plan, store: Store, executor: Executor, progress: Progress, profile: Profile, *, force: bool = False
) -> Outcome:
    """Give the units of the cells that ``store`` lacks (all with ``force``) to an executor; store what it yields."""
    adversarial.most_bytes()  # refuses what is no size, before anything is computed
    missing = missing_cells(plan, store)  # refuses what a later version wrote: force would write it over
    cells = list(plan.cells) if force else missing
    outcome = Outcome(kept=len(plan.cells) - len(cells), profile=profile)
    for made in executor.run(units_of(cells)):
        with profile.phase("store"):
            if isinstance(made, AdversarialSet):
                adversarial.write(store, made)
                continue
            store.put(made.result, made.examples if made.result.ok else None)
        outcome.computed += 1
        if not made.result.ok:
            outcome.failed.append(made.result)
        progress.cell_done(made.result)
    return outcome
