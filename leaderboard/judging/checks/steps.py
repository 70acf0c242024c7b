"""Checks of more: more steps, larger balls, the whole box."""

from __future__ import annotations

from itertools import product

from purification_bench.leaderboard.judging.aggregate import robust_accuracy, robust_means
from purification_bench.leaderboard.judging.boards import Board, Column, Row
from purification_bench.leaderboard.judging.checks.evidence import (
    FEWEST,
    blind,
    by_chance,
    descending,
    leaves_more,
    place,
    seeing,
    share,
    strongest,
    unless_it_rejects,
)
from purification_bench.leaderboard.judging.checks.finding import Finding, conclude
from purification_bench.leaderboard.results.sizes import in_words

FALL = 0.02
"""By so much may attacks of twice the steps lower the worst case of a row that has converged."""


@unless_it_rejects
def iterative_beats_single_step(board: Board, row: Row) -> Finding:
    """Expect many steps to find at least what one step finds, with the same gradient."""
    single = [column for column in seeing(row) if column.traits.single_step]
    pairs = [(one, many) for one, many in product(single, descending(row)) if place(one) == place(many)]
    said = [
        (
            f"at {in_words(one.eps)} one step leaves {share(row, one)}, many steps {share(row, many)}",
            leaves_more(row, many, one),
        )
        for one, many in pairs
    ]
    return conclude("iterative beats single-step", said, "no attack of one step beside one of many")


def more_steps_change_little(board: Board, row: Row) -> Finding:
    """Expect attacks of twice the steps, or more, to lower the worst case by no more than two points.

    Informs: where they do, the row has not converged, and has no rank.
    """
    fall = fall_by_more_steps(board, row)
    said = []
    if fall is not None:
        longer, before, after = fall
        named = ", ".join(sorted({f"{column.attack} ({column.threat.word})" for column in longer}))
        sentence = f"without {named} the worst case is {100 * before:.1f} %, with it {100 * after:.1f} %"
        said = [(sentence, before - after > FALL)]
    return conclude("more steps change little", said, "no attack ran with twice the steps of another", gates=False)


def fall_by_more_steps(board: Board, row: Row) -> tuple[list[Column], float, float] | None:
    """Return the longest attacks that have twice the steps of another, and the worst case without and with them.

    At the mark, over the images that all of those met that met enough of them for a rank. None where there are none.
    """
    columns = board.headline(row, board.mark)
    doubling = [many for many in columns if any(_doubles(row, few, many) for few in columns)]
    longest = [many for many in doubling if not any(_doubles(row, many, more) for more in columns)]
    before, after = robust_means(row, [c for c in columns if c not in longest]), robust_means(row, columns)
    if not longest or before is None or after is None:
        return None
    met = [row.cells[column].n for column in longest]
    n = min(len(before), len(after), min((n for n in met if n >= FEWEST), default=max(met)))
    return longest, float(before[:n].mean()), float(after[:n].mean())


def _doubles(row: Row, few: Column, many: Column) -> bool:
    """Say whether an attack is another of the same kind, size and threat with twice the steps or more."""
    same = place(few) == place(many) and few.attack_name == many.attack_name
    return same and few.eps == many.eps and 0 < 2 * _steps(row, few) <= _steps(row, many)


def _steps(row: Row, column: Column) -> int:
    options = row.cells[column].identity["attack"]["options"]
    steps, restarts = options.get("steps"), options.get("restarts", 1)
    return steps * restarts if isinstance(steps, int) and isinstance(restarts, int) else 0


@unless_it_rejects
def success_grows_with_eps(board: Board, row: Row) -> Finding:
    """Expect an attack of many steps to find in a larger ball what it finds in the smaller one."""
    pairs = [
        (small, large)
        for small, large in product(descending(row), repeat=2)
        if (small.attack, small.threat, small.norm) == (large.attack, large.threat, large.norm)
        and small.eps < large.eps
    ]
    said = [
        (
            f"{large.attack} ({large.threat.word}) leaves {share(row, small)} at {in_words(small.eps)} and "
            f"{share(row, large)} at {in_words(large.eps)}",
            leaves_more(row, large, small),
        )
        for small, large in pairs
    ]
    return conclude("success grows with eps", said, "no attack of many steps ran at two sizes")


def the_whole_box_breaks_it(board: Board, row: Row) -> Finding:
    """Expect next to nothing to survive eps 1 under attacks that see the purifier: all images are within reach."""
    worst = robust_accuracy(row, [c for c in seeing(row) if c.norm == "linf" and c.eps == 1])
    if worst is None:
        return conclude("the whole box breaks it", [], "no attack that sees the purifier ran at eps 1")
    sentence, survives = f"{100 * worst.value:.1f} % survive eps 1", worst.low > by_chance(row)
    controls = [c for c in blind(row) if c.traits.control and c.norm == "linf" and c.eps == 1]
    if controls and survives:
        best = strongest(row, controls)
        sentence += f", where {best.attack}, which knows nothing, leaves {share(row, best)}"
    return conclude("the whole box breaks it", [(sentence, survives)], "")
