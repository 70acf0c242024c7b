"""What a store lacks of a plan, and what was done about it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from purification_bench.benchmark.run.cells import Cell, Plan
from purification_bench.benchmark.run.profile import Profile
from purification_bench.leaderboard.results.result import Result
from purification_bench.leaderboard.results.store import Store


@dataclass
class Outcome:
    """What a run did."""

    computed: int = 0
    kept: int = 0
    failed: list[Result] = field(default_factory=list)
    profile: Profile | None = None
    """Where the time went, if anything was computed."""


def missing_cells(plan: Plan, store: Store) -> list[Cell]:
    """Return the cells of ``plan`` that ``store`` lacks, or holds as failed."""
    return [cell for cell in plan.cells if not _is_stored(store, cell)]


def put_edition(plan: Plan, store: Store) -> None:
    """Write into results that are kept that their attacks are of the plan's edition: its keys say that they are.

    Results that another preset's edition was written into keep that.
    """
    for cell in plan.cells:
        edition = str(cell.defense.facts.get("edition", ""))
        result = store.get(cell.identity, cell.key) if edition else None
        if result is not None and result.ok:
            written = str(result.facts.get("edition", ""))
            if written != edition and written.partition(" ")[0] in ("", edition.partition(" ")[0]):
                store.put(replace(result, facts={**result.facts, "edition": edition}))


def _is_stored(store: Store, cell: Cell) -> bool:
    result = store.get(cell.identity, cell.key)
    return result is not None and result.ok
