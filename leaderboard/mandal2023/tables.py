"""The tables of this room, and what each is headed by."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from purification_bench.leaderboard.mandal2023.matrix import matrix
from purification_bench.leaderboard.mandal2023.measured import DATASETS, Measured
from purification_bench.leaderboard.mandal2023.table_1 import table_1
from purification_bench.leaderboard.mandal2023.table_2 import table_2
from purification_bench.leaderboard.mandal2023.table_3 import table_3
from purification_bench.leaderboard.showing.table import Table
from purification_bench.leaderboard.showing.tables import attackers, audits


def _adaptive(measured: Measured) -> list[Table]:
    """Return what attackers who see the purifier left of each dataset, how they went about it, and the audit."""
    made = []
    for dataset in DATASETS:
        board = measured.board(dataset)
        if board is not None and board.adaptive:
            tables = {
                "worst case by threat": attackers.by_threat(board),
                "how they were attacked": attackers.how(board),
                "what the audit comes to": audits.verdicts(board),
            }
            made += [replace(table, title=f"{dataset}: {title}") for title, table in tables.items() if table]
    return made


@dataclass(frozen=True)
class Part:
    """A section of the page: what heads it, and what makes its tables."""

    title: str
    make: Callable[[Measured], list[Table]]


PARTS: Mapping[str, Part] = {
    "1a": Part("Table 1a: FGSM on the classifier alone", table_1("1a", "fgsm", "fgsm_released")),
    "1b": Part("Table 1b: PGD on the classifier alone", table_1("1b", "pgd", "pgd_released")),
    "2": Part("Table 2: the auto-encoders, each under the attack that it was trained on", table_2),
    "3": Part("Table 3: the defenses under FGSM .60", table_3),
    "matrix": Part("Not in the paper: every auto-encoder under every attack", matrix),
    "adaptive": Part("Not in the paper: attackers who see the purifier", _adaptive),
}
"""The sections, in the order of the page, by the names that ``bench reproduce --table`` takes."""


def tables_of(measured: Measured, names: Iterable[str]) -> list[Table]:
    """Return the tables of the sections of these names that there are results for, each titled with its section."""
    return [
        replace(table, title=f"{PARTS[name].title}. {table.title}")
        for name in names
        for table in PARTS[name].make(measured)
    ]
