"""What accuracy under attack costs in time: the rows of a board that no other beats in both."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from purification_bench.leaderboard.judging.aggregate import standing
from purification_bench.leaderboard.judging.audit import stands
from purification_bench.leaderboard.judging.boards import Board
from purification_bench.leaderboard.judging.statistics import Estimate


@dataclass(frozen=True)
class Point:
    """A row that was timed and has a headline."""

    defense: str
    milliseconds: float
    """Median of the time that one image takes to be purified and classified."""
    robust: Estimate
    """The headline at the mark."""
    stands: bool
    """It has a rank: nothing is said against its headline."""
    device: str
    """What it was timed on."""

    def beats(self, other: Point) -> bool:
        """Say whether this row is as fast as another and keeps as much, and better in one of the two."""
        mine, its = (self.milliseconds, -self.robust.value), (other.milliseconds, -other.robust.value)
        return mine != its and mine[0] <= its[0] and mine[1] <= its[1]


def measured(board: Board) -> list[Point]:
    """Return the rows that can be set against one another, the fastest first: those timed where most were."""
    points = []
    for row in board.rows.values():
        robust = standing(board, row, board.mark).robust
        if robust is not None and row.latency is not None and row.latency.latency:
            spent = float(row.latency.latency["single"]["end_to_end"]["p50_ms"])
            device = str(row.latency.environment["device_name"])
            points.append(Point(row.defense, spent, robust, stands(board, row), device))
    devices = Counter(point.device for point in points)
    chosen = [point for point in points if point.device == devices.most_common(1)[0][0]]
    return sorted(chosen, key=lambda point: (point.milliseconds, -point.robust.value))


def front(points: list[Point]) -> list[Point]:
    """Return, of those that have a rank, the ones that no other of them beats."""
    ranked = [point for point in points if point.stands]
    return [point for point in ranked if not any(other.beats(point) for other in ranked)]
