"""The worst case alone: each attack that sees a defense goes on only with images that every earlier one left right.

What is broken stays broken, so the headline is what the full grid would make it, or lower; what one attack leaves by
itself is no longer known, and most checks of the audit cannot be made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeGuard

import numpy as np
from numpy.typing import NDArray

from purification_bench.benchmark.run.cells import AccuracyCell, Cell, Earlier
from purification_bench.leaderboard.results.store import Store

ORDER = ("distance", "true", "surrogate", "relaxation", "code", "none")
"""Gradients, the likeliest to break much first: who comes later finds less to do."""

Mask = NDArray[np.bool_]


def chained(cells: Sequence[Cell]) -> list[Cell]:
    """Return cells in which each attack that sees its defense names those whose broken images it passes over.

    They come by number of images, then defense, size and attack; smaller sizes first, whose images lie in the larger
    ball as well.
    """
    following = sorted((cell for cell in cells if _follows(cell)), key=_order)
    others = [cell for cell in cells if not _follows(cell)]
    earlier = [cell for cell in others if isinstance(cell, AccuracyCell)]
    last: list[Cell] = []
    for cell in following:
        after = tuple(Earlier(each.identity, each.key) for each in earlier if _serves(each, cell))
        keys = [each.key for each in after]
        linked = replace(cell, after=after, identity={**cell.identity, "after": keys})
        earlier.append(linked)
        last.append(linked)
    return [*others, *last]


def right_before(cell: AccuracyCell, store: Store) -> Mask:
    """Return which images ``(n,)`` a cell attacks: those that not all draws of an earlier cell got wrong."""
    left = np.ones(cell.setting.n, dtype=np.bool_)
    for earlier in cell.after or ():
        result = store.get(earlier.identity, earlier.key)
        for verdicts in (result.clean, result.adversarial) if result is not None and result.ok else ():
            if verdicts is not None:
                n = min(len(left), len(verdicts.chosen))
                left[:n] &= ~verdicts.broken[:n]
    return left


def _follows(cell: Cell) -> TypeGuard[AccuracyCell]:
    return isinstance(cell, AccuracyCell) and bool(cell.seen) and cell.attack is not None and cell.attack.of.judges


def _order(cell: AccuracyCell) -> tuple[object, ...]:
    gradient = cell.attack.of.gradient if cell.attack else "none"
    place = ORDER.index(gradient) if gradient in ORDER else len(ORDER)
    return -cell.setting.n, cell.setting.key, cell.defense.spec.label, cell.eps, place


def _serves(earlier: AccuracyCell, cell: AccuracyCell) -> bool:
    """Say whether what an earlier cell broke is broken for a cell, too: its worst case holds both."""
    if earlier.defense.spec.label != cell.defense.spec.label:
        return False
    if earlier.attack is None or cell.attack is None:
        return True
    if earlier.attack.norm != cell.attack.norm or not earlier.attack.of.judges:
        return False
    return earlier.eps == cell.eps or (earlier.eps < cell.eps and earlier.attack.of.sees_purifier)
