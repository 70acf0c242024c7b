"""What an attack costs, and what it leaves for that."""

from __future__ import annotations

from dataclasses import dataclass, replace

from purification_bench.leaderboard.judging.aggregate import accuracy
from purification_bench.leaderboard.judging.boards import Board, Column, Row
from purification_bench.leaderboard.judging.statistics import Estimate, estimate
from purification_bench.leaderboard.results.declared import Threat
from purification_bench.leaderboard.results.result import Result


@dataclass(frozen=True)
class Effort:
    """One attack on one row, at one size."""

    column: Column
    result: Result
    left: Estimate
    """The share that it leaves right."""

    @property
    def gradients(self) -> int | None:
        """Gradients, or draws of candidates, for an image; None where it takes none, or tells of none."""
        counted = self.result.probes.get("gradients_per_image")
        return round(float(counted)) if counted else None

    @property
    def queries(self) -> int | None:
        """Answers of the defended classifier for an image."""
        counted = self.result.probes.get("queries_per_image")
        return round(float(counted)) if counted else None

    @property
    def seconds(self) -> float:
        """Seconds for an image, on the machine that the result names."""
        return float(self.result.seconds.get("attack", 0.0)) / int(self.result.met.sum())


def efforts(board: Board, row: Row) -> list[Effort]:
    """Return the Linf attacks on a row at the mark, the strongest first; none that passed over broken images."""
    judged = [threat for threat in board.threats if threat.judges]
    columns = [column for column in board.candidates(board.mark, *judged) if column in row.cells] if judged else []
    known = [(column, row.cells[column], accuracy(row.cells[column])) for column in columns]
    made = [Effort(column, result, left) for column, result, left in known if left is not None]
    return sorted(made, key=lambda effort: effort.left.value)


def by_kind(board: Board, row: Row) -> dict[tuple[str, Threat], list[Effort]]:
    """Return the efforts that differ only in how much they cost, by attack and threat, the cheapest first.

    Only kinds of which there are several; what they leave is told of the images that all of a kind met.
    """
    kinds: dict[tuple[str, Threat], list[Effort]] = {}
    for effort in efforts(board, row):
        if effort.gradients:
            kinds.setdefault((effort.column.attack_name, effort.column.threat), []).append(effort)
    several = {kind: _on_shared(each) for kind, each in kinds.items() if len(each) > 1}
    return {kind: sorted(each, key=lambda effort: effort.gradients or 0) for kind, each in several.items()}


def _on_shared(made: list[Effort]) -> list[Effort]:
    n = min(effort.result.n for effort in made)
    return [replace(effort, left=estimate(effort.result.means[:n])) for effort in made]
