"""Results in a program's hands: as data frames, as a picture, as a table in a notebook."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from purification_bench.leaderboard.judging import aggregate, audit
from purification_bench.leaderboard.judging.boards import Board, Row
from purification_bench.leaderboard.judging.layout import current, lay_out
from purification_bench.leaderboard.results.errors import StoreError
from purification_bench.leaderboard.results.result import STANDARD, Result
from purification_bench.leaderboard.showing import curves, export, html
from purification_bench.leaderboard.showing.table import Table
from purification_bench.leaderboard.showing.tables.accuracies import overview
from purification_bench.leaderboard.showing.tables.standings import ranked, summary
from purification_bench.leaderboard.showing.wording import written


class Results:
    """What runs came to: every cell, and the boards that they make.

    Parameters
    ----------
    results:
        Cells of any data sets, classifiers and defenses. Of one that was computed again in another version the newest
        counts.
    """

    def __init__(self, results: Iterable[Result]) -> None:
        self.results = tuple(current(results))

    def __len__(self) -> int:
        return len(self.results)

    def __iter__(self) -> Iterator[Result]:
        return iter(self.results)

    @cached_property
    def boards(self) -> list[Board]:
        """The defenses side by side, one board for each data set, classifier, seed and protocol."""
        return lay_out(self.results)

    def frame(self) -> pd.DataFrame:
        """Return one row a cell.

        ``accuracy`` with its 95 % interval (``low``, ``high``) are shares in [0, 1], ``eps`` is in pixel units,
        ``seconds`` is what attacking and judging took. A cell that failed has ``status`` ``error`` and says why.
        """
        return export.frame(self._own)

    def headline(self) -> pd.DataFrame:
        """Return one row a defense and board, by rank: what it is worth at the data set's mark, and the verdict.

        ``clean``, ``claimed`` (under attackers who do not know the purifier) and ``robust`` (under all of them) are
        shares in [0, 1] of the same ``n`` images; what is missing is NaN.
        """
        rows = [
            _standing(board, rank, row) for board in self._compared for rank, row in ranked(board) if self._is_own(row)
        ]
        return pd.DataFrame(rows)

    def audit(self) -> pd.DataFrame:
        """Return one row a check, defense and board: its state, whether it costs the rank, and what it saw."""
        return pd.DataFrame(
            [
                {**_of(board, row), "check": f.check, "state": f.state, "gates": f.gates, "evidence": f.evidence}
                for board in self._compared
                for row in board.rows.values()
                if self._is_own(row)
                for f in audit.audit(board, row)
            ]
        )

    def plot(self, board: int = 0) -> Figure:
        """Draw what is claimed and what is left against eps; gray-box accuracy where no attacker saw a purifier.

        Parameters
        ----------
        board:
            Which of ``boards`` is drawn.

        Raises
        ------
        StoreError
            If there is no such board, or nothing of it was attacked.
        """
        if not 0 <= board < len(self._compared):
            raise StoreError(f"there is no board {board}: these results make {len(self._compared)}")
        figure = curves.draw_gaps(self._compared[board]) or curves.draw_curves(self._compared[board])
        if figure is None:
            raise StoreError(f"nothing to draw: nothing was attacked on {self._compared[board].title}")
        return figure

    @property
    def _compared(self) -> list[Board]:
        return [board for board in self.boards if board.protocol == STANDARD]

    @property
    def _own(self) -> tuple[Result, ...]:
        return self.results

    def _is_own(self, row: Row) -> bool:
        return True

    @property
    def _tables(self) -> list[Table]:
        return [summary(board) if board.protocol == STANDARD else overview(board) for board in self.boards]

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__}: {len(self)} cells"]
        for table in self._tables:
            headings = [written(heading.title) for heading in table.headings]
            shown = pd.DataFrame([[written(value) for value in row] for row in table.rows], columns=headings)
            lines += ["", table.title, shown.to_string(index=False)]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return "\n".join(map(html.rendered, self._tables))


class Evaluation(Results):
    """What one defense came to, and the undefended classifier beside it.

    Parameters
    ----------
    results:
        The cells of the defense, and of what it is compared with.
    defense:
        The label of its row.
    """

    def __init__(self, results: Iterable[Result], defense: str) -> None:
        super().__init__(results)
        self.defense = defense

    @property
    def _own(self) -> tuple[Result, ...]:
        return tuple(result for result in self.results if result.defense == self.defense)

    def _is_own(self, row: Row) -> bool:
        return row.defense == self.defense


def _of(board: Board, row: Row) -> dict[str, Any]:
    return {"dataset": board.dataset, "classifier": board.classifier, "seed": board.seed, "defense": row.defense}


def _standing(board: Board, rank: int | None, row: Row) -> dict[str, Any]:
    at = aggregate.standing(board, row, board.mark)
    single = row.latency.latency["single"]["end_to_end"] if row.latency and row.latency.latency else {}
    return {
        **_of(board, row),
        "eps": board.mark,
        "rank": rank,
        "clean": at.clean.value if at.clean else None,
        "claimed": at.claimed.value if at.claimed else None,
        "robust": at.robust.value if at.robust else None,
        "robust_low": at.robust.low if at.robust else None,
        "robust_high": at.robust.high if at.robust else None,
        "gap": at.gap,
        "n": at.n,
        "latency_p50_ms": single.get("p50_ms"),
        "verdict": audit.verdict(board, row),
    }
