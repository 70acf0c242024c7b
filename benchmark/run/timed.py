"""A unit of latencies: the defenses that can be timed, together; the others get their reason."""

from __future__ import annotations

from collections.abc import Iterator

from purification_bench.benchmark.run import latency
from purification_bench.benchmark.run.cells import LatencyCell
from purification_bench.benchmark.run.made import CellResult, Made, result_of
from purification_bench.benchmark.run.progress import Progress
from purification_bench.benchmark.run.workbench import CannotBeJudgedError, Workbench
from purification_bench.defenses.base import Defense
from purification_bench.defenses.faults import FAULTS, told


def latencies(cells: tuple[LatencyCell, ...], workbench: Workbench, progress: Progress) -> Iterator[Made]:
    """Time the defenses of ``cells``, their calls interleaved; yield each one's result."""
    setting, batch = cells[0].setting, cells[0].batch
    x, classifier = workbench.images(setting).x, workbench.classifier(setting)
    able: dict[str, Defense] = {}
    for cell in cells:
        label = cell.defense.spec.label
        try:
            workbench.on_clean(setting, cell.defense, progress)
            able[label] = workbench.defense(setting, cell.defense.spec)
            latency.rehearse(able[label], classifier, x, batch, workbench.device)
        except FAULTS as error:
            able.pop(label, None)
            why = str(error) if isinstance(error, CannotBeJudgedError) else told(error)
            yield CellResult(result_of(workbench, cell, error=why))
    with progress.task(f"{setting.where}: latency", 1) as advance:
        with workbench.profile.phase("time"):
            measured = latency.measure(able, classifier, x, batch, workbench.device)
        advance(1)
    for cell in cells:
        if cell.defense.spec.label in measured:
            yield CellResult(result_of(workbench, cell, latency=measured[cell.defense.spec.label]))
