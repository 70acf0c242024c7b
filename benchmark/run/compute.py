"""Running a unit of work: it gives what the driver stores, piece by piece."""

from __future__ import annotations

from collections.abc import Iterator

from purification_bench.benchmark.run.attacked import AttackRun
from purification_bench.benchmark.run.made import CellResult, Made, result_of
from purification_bench.benchmark.run.progress import Progress
from purification_bench.benchmark.run.timed import latencies
from purification_bench.benchmark.run.units import AttackUnit, CleanUnit, LatencyUnit, Unit
from purification_bench.benchmark.run.workbench import CannotBeJudgedError, Workbench
from purification_bench.leaderboard.results.store import Store


def compute(
    unit: Unit, workbench: Workbench, store: Store | None, progress: Progress, *, anew: bool = False
) -> Iterator[Made]:
    """Yield what a unit gives: adversarial sets that were made, and a result for each of its cells.

    Parameters
    ----------
    store:
        Where adversarial sets are read from that are there already, and what earlier attacks broke. Nothing is written.
    anew:
        Make all sets.
    """
    if isinstance(unit, AttackUnit):
        yield from AttackRun(unit.cells, workbench, store, progress, anew).results()
    elif isinstance(unit, LatencyUnit):
        yield from latencies(unit.cells, workbench, progress)
    else:
        yield from _clean(unit, workbench, progress)


def _clean(unit: CleanUnit, workbench: Workbench, progress: Progress) -> Iterator[Made]:
    for cell in unit.cells:
        try:
            known = workbench.on_clean(cell.setting, cell.defense, progress)
        except CannotBeJudgedError as error:
            yield CellResult(result_of(workbench, cell, error=str(error)))
        else:
            yield CellResult(result_of(workbench, cell, clean=known.verdicts, probes=known.contract))
