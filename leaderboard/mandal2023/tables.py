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
from purification_bench.leaderboard.showing.tables import attackers, standings


def _adaptive(measured: Measured) -> list[Table]:
    """Return what attackers who see the purifier left of each dataset, how they went about it, and the audit."""
    made = []
    for dataset in DATASETS:
        board = measured.board(dataset)
        if board is not None and board.adaptive:
            tables = {
                "worst case by threat": attackers.by_threat(board),
                "how they were attacked": attackers.how(board),
                "what the audit comes to": standings.summary(board),
            }
            made += [replace(table, title=f"{dataset}: {title}") for title, table in tables.items() if table]
    return made


@dataclass(frozen=True)
class Section:
    """A section of the page: what heads it, and what makes its tables."""

    title: str
    make: Callable[[Measured], list[Table]]


SECTIONS: Mapping[str, Section] = {
    "1a": Section("Table 1a: FGSM on the classifier alone", table_1("1a", "fgsm", "fgsm_released")),
    "1b": Section("Table 1b: PGD on the classifier alone", table_1("1b", "pgd", "pgd_released")),
    "2": Section("Table 2: the auto-encoders, each under the attack that it was trained on", table_2),
    "3": Section("Table 3: the defenses under FGSM .60", table_3),
    "matrix": Section("Not in the paper: every auto-encoder under every attack", matrix),
    "adaptive": Section("Not in the paper: attackers who see the purifier", _adaptive),
}
"""The sections, in the order of the page, by the names that ``bench reproduce --table`` takes."""


def tables_of(measured: Measured, names: Iterable[str]) -> list[Table]:
    """Return the tables of the sections of these names that there are results for, each titled with its section."""
    return [
        replace(table, title=f"{SECTIONS[name].title}. {table.title}")
        for name in names
        for table in SECTIONS[name].make(measured)
    ]
