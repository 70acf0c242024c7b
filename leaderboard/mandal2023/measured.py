"""What a store holds of the seed paper's tables, looked up as the paper names things."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from purification_bench.leaderboard.judging.boards import Board, Row
from purification_bench.leaderboard.mandal2023.published import Published
from purification_bench.leaderboard.results.result import STANDARD, Result

DATASETS = ("mnist", "fashion_mnist")
CLASSIFIER = "vgg16"
UNDEFENDED = "none"
RELEASED = "as-released"
"""The protocol of the released code."""


@dataclass(frozen=True)
class Measured:
    """The boards of a store."""

    boards: Sequence[Board]

    def board(self, dataset: str, protocol: str = STANDARD) -> Board | None:
        """Return the board of a dataset under a protocol: VGG-16's under the standard one."""
        for board in self.boards:
            published = board.dataset == dataset and board.classifier == CLASSIFIER
            resized = board.dataset.partition("[")[0] == dataset
            if board.protocol == protocol and (published if protocol == STANDARD else resized):
                return board
        return None

    def cell(self, dataset: str, defense: str, attack: str, eps: float, protocol: str = STANDARD) -> Result | None:
        """Return the gray-box result of an attack (by its label) at a size; on clean images at size 0.

        None where it was not run.
        """
        board = self.board(dataset, protocol)
        row = board.rows.get(defense) if board else None
        if row is None or eps == 0:
            return row.clean if row else None
        return graybox_cells(row).get((attack, eps))


def graybox_cells(row: Row) -> dict[tuple[str, float], Result]:
    """Return a row's gray-box results by attack and size."""
    return {(column.attack, column.eps): result for column, result in row.cells.items() if column.threat.is_baseline}


def method(row: Row) -> str:
    """Return the name of a row's defense, without its options."""
    return str(row.newest.identity["defense"]["name"])


def rows_beside(board: Board | None, number: Published) -> dict[str, Row]:
    """Return the rows that a number is set beside: the method's, and of auto-encoders those trained on its attack."""
    rows = board.rows if board else {}
    return {
        label: row
        for label, row in rows.items()
        if method(row) == number.defense and _options(row).get("against", number.attack) == number.attack
    }


def _options(row: Row) -> Mapping[str, object]:
    options: Mapping[str, object] = row.newest.identity["defense"]["options"]
    return options
