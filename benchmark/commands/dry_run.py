"""``--dry-run``: what would be computed, and how long that may take. Nothing is written."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from purification_bench.benchmark import console
from purification_bench.benchmark.run.cells import AccuracyCell, Cell
from purification_bench.benchmark.run.missing import missing_cells
from purification_bench.benchmark.run.session import Session
from purification_bench.benchmark.run.units import AttackUnit, units_of
from purification_bench.leaderboard.results.sizes import in_words
from purification_bench.leaderboard.results.store import Store
from purification_bench.leaderboard.showing.table import Table, figures, words
from purification_bench.leaderboard.showing.values import Count, Name, Value, text


def tell(begun: Session, store: Store) -> int:
    """Print the rows, the attacks, and how long what ``store`` lacks would take. Status 0."""
    missing = missing_cells(begun.plan, store)
    due = {cell.key for cell in missing}
    rows: dict[tuple[str, str, int], list[Cell]] = {}
    for cell in begun.plan.cells:
        place = cell.setting.where, cell.defense.spec.label, cell.setting.n
        rows.setdefault(place, []).append(cell)
    body: list[list[Value]] = [
        [text(where), Name(label), Count(n), Count(len(mine)), Count(sum(cell.key in due for cell in mine))]
        for (where, label, n), mine in rows.items()
    ]
    headings = [*words("where", "defense"), *figures("n", "cells", "to compute")]
    spent = begun.estimated(missing, store)
    console.show(Console(), Table("Would run", headings, body))
    attacked = [unit for unit in units_of(begun.plan.cells) if isinstance(unit, AttackUnit)]
    for line in dict.fromkeys(_described(unit.cells) for unit in attacked):
        print(line)
    console.tell_set_aside(store)
    most = ", or less: what is broken is passed over" if any(_passes_over(cell) for cell in missing) else ""
    print(f"{len(missing)} of {len(begun.plan.cells)} cells to compute on {begun.device}: {spent}{most}.")
    return 0


def _passes_over(cell: Cell) -> bool:
    return isinstance(cell, AccuracyCell) and cell.after is not None


def _described(cells: Sequence[AccuracyCell]) -> str:
    """Name the attack that ``cells`` share, its threat and its sizes."""
    use = cells[0].attack
    sizes = ", ".join(in_words(eps) for eps in dict.fromkeys(cell.eps for cell in cells))
    named = f"{use.attack.label} ({use.threat})" if use else "clean images"
    return f"{cells[0].setting.dataset.label}: {named} at {sizes}"
