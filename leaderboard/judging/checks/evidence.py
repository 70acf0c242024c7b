"""What checks look at: a row's usable attacks, and the margins between them that mean something."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable
from dataclasses import replace

from purification_bench.leaderboard.judging.aggregate import accuracy
from purification_bench.leaderboard.judging.boards import Board, Column, Row
from purification_bench.leaderboard.judging.checks.finding import REFUSES, Check, Finding
from purification_bench.leaderboard.judging.statistics import Means, compare
from purification_bench.leaderboard.results.result import Result

LEVEL = 0.01
"""Significance on paired images that a margin needs ..."""
POINTS = 0.03
"""... and the points that it needs besides."""
FEWEST = 50
"""Images below which a row has no rank: the interval of a share of 49 images is up to 27 points wide."""
CHANCE = 1.2
"""Share of the largest class, times the number of classes, of data sets whose classes are nearly of one size."""

Place = tuple[object, float, str]


def attacked(row: Row) -> list[Column]:
    """Return the attacks that a row has verdicts of, on all images."""
    known = ((column, result) for column, result in row.cells.items() if result.ok and result.adversarial is not None)
    return [column for column, result in known if result.met.all() and not result.partial]


def blind(row: Row) -> list[Column]:
    """Return the attacks by who does not know the purifier."""
    return [column for column in attacked(row) if not column.threat.sees_purifier]


def seeing(row: Row) -> list[Column]:
    """Return the attacks by who sees the purifier and follows a gradient."""
    return [column for column in attacked(row) if column.threat.follows_gradient]


def descending(row: Row) -> list[Column]:
    """Return those of them that take many steps along the pixels' gradient."""
    return [column for column in seeing(row) if column.traits.descends]


def place(column: Column) -> Place:
    """Return what two attacks share that may be compared: threat, size, norm."""
    return column.threat, column.eps, column.norm


def strongest(row: Row, columns: Iterable[Column]) -> Column:
    """Return the attack that leaves the fewest images right."""
    return min(columns, key=lambda column: row.cells[column].means.mean())


def leaves_more(row: Row, first: Column, second: Column) -> bool:
    """Say whether the first attack leaves significantly more images right than the second, by points that matter."""
    one, other = row.cells[first], row.cells[second]
    n = min(one.n, other.n)
    return is_more(one.means[:n], other.means[:n])


def is_more(first: Means, second: Means) -> bool:
    """Say whether the first share is significantly larger on the same images, by points that matter."""
    if first.mean() - second.mean() < POINTS:  # no test is needed
        return False
    return compare(first, second).p_value / 2 <= LEVEL


def share(row: Row, column: Column) -> str:
    """Write what an attack leaves."""
    left = accuracy(row.cells[column])
    return f"{100 * left.value:.1f} %" if left else "nothing"


def by_chance(row: Row) -> float:
    """Return the share that a constant answer gets right."""
    return CHANCE / float(row.newest.facts["num_classes"])


def claims_something(row: Row) -> bool:
    """Say whether a row is right more often than by chance: a constant image has no gradient, and needs none.

    The lower end of the interval decides: of 24 images a constant is right on four or five, by luck.
    """
    clean = accuracy(row.clean)
    return clean is None or clean.low > by_chance(row)


def probed(row: Row) -> list[Result]:
    """Return the results that may hold probes of the defense itself."""
    return [result for result in (row.clean, *row.cells.values()) if result is not None and result.ok]


def rejects(row: Row) -> bool:
    """Say whether a defense refuses images: what an attack leaves then says as much of its detector as of itself."""
    return any("rejected_share" in result.probes for result in probed(row))


def unless_it_rejects(check: Check) -> Check:
    """Return a check that does not run on rows whose attacks cannot be compared."""

    @functools.wraps(check)
    def asked(board: Board, row: Row) -> Finding:
        found = check(board, row)
        return replace(found, state="not run", evidence=REFUSES) if rejects(row) else found

    return asked


def smallest_margin(row: Row) -> float:
    """Return the least margin between two attacks that can show on as few images as the row's attackers had."""
    fewest = min((row.cells[column].n for column in seeing(row)), default=1)
    return min(1.0, max(POINTS, math.ceil(-math.log2(LEVEL)) / fewest))
