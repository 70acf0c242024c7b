"""Checks of attackers against each other: who knows more should find more."""

from __future__ import annotations

from itertools import product

from purification_bench.leaderboard.judging.aggregate import robust_means
from purification_bench.leaderboard.judging.boards import Board, Column, Row
from purification_bench.leaderboard.judging.checks.evidence import (
    attacked,
    blind,
    descending,
    is_more,
    leaves_more,
    place,
    seeing,
    share,
    strongest,
    unless_it_rejects,
)
from purification_bench.leaderboard.judging.checks.finding import Finding, Sentence, conclude
from purification_bench.leaderboard.results.sizes import in_words


@unless_it_rejects
def seeing_helps(board: Board, row: Row) -> Finding:
    """Expect the best attack that sees the purifier not to be beaten by those that do not, or by noise."""
    said: list[Sentence] = []
    for eps in sorted({column.eps for column in seeing(row) if column.norm == "linf"}):
        best = strongest(row, (c for c in seeing(row) if c.eps == eps and c.norm == "linf"))
        rivals = [c for c in blind(row) if c.eps == eps and c.norm == "linf"]
        said += [
            (
                f"{rival} leaves {share(row, rival)}, the best attack that sees the purifier {share(row, best)}",
                leaves_more(row, best, rival),
            )
            for rival in rivals
        ]
    return conclude("seeing the purifier helps", said, "no size was attacked by who sees the purifier and who does not")


@unless_it_rejects
def each_gradient_helps(board: Board, row: Row) -> Finding:
    """Expect every required threat to break what an attacker breaks who does not know the purifier; informs.

    A gradient that does worse misleads, and the row rests on the other threats.
    """
    required = [column for column in descending(row) if column.threat.required]
    baseline = [column for column in blind(row) if column.threat.is_baseline]
    pairs = []
    for where in dict.fromkeys(map(place, required)):
        rivals = [column for column in baseline if place(column)[1:] == where[1:]]
        if rivals:
            pairs.append((strongest(row, (c for c in required if place(c) == where)), strongest(row, rivals)))
    said = [
        (
            f"{best} leaves {share(row, best)}, {rival.attack} without the purifier {share(row, rival)}",
            leaves_more(row, best, rival),
        )
        for best, rival in pairs
    ]
    return conclude("each gradient helps", said, "no size was attacked along a gradient and gray-box", gates=False)


@unless_it_rejects
def gradients_beat_queries(board: Board, row: Row) -> Finding:
    """Expect gradients to find what queries of the same model find."""
    said: list[Sentence] = []
    for column in _without_gradient(row):
        rivals = [c for c in descending(row) if place(c)[1:] == place(column)[1:]]
        best, queried = robust_means(row, rivals), robust_means(row, [column])
        if best is None or queried is None:
            continue
        n = min(len(best), len(queried))
        left = f"leaves {100 * queried[:n].mean():.1f} %, gradients {100 * best[:n].mean():.1f} %"
        said.append((f"at {in_words(column.eps)} {column.attack} {left}", is_more(best[:n], queried[:n])))
    return conclude("gradients beat queries", said, "no size was attacked by queries and along gradients")


def _without_gradient(row: Row) -> list[Column]:
    return [c for c in attacked(row) if c.threat.sees_purifier and c.threat.judges and c.threat.gradient == "none"]


@unless_it_rejects
def noise_hides_nothing(board: Board, row: Row) -> Finding:
    """Expect the attack to find as much with the randomness free as with it frozen; informs."""
    free = [column for column in attacked(row) if column.threat.gradient == "true"]
    frozen = [column for column in attacked(row) if column.threat.gradient == "one draw"]
    pairs = [(a, b) for b, a in product(frozen, free) if (a.attack, a.eps) == (b.attack, b.eps)]
    said = [
        (
            f"{a.attack} at {in_words(a.eps)} leaves {share(row, a)}, with the randomness frozen {share(row, b)}",
            leaves_more(row, a, b),
        )
        for a, b in pairs
    ]
    return conclude("noise hides nothing", said, "its randomness was not frozen, or it has none", gates=False)
