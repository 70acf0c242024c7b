"""Two stores, or two defenses of one store, compared cell by cell on the same images."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from purification_bench.leaderboard.judging.layout import current
from purification_bench.leaderboard.judging.statistics import compare, holm
from purification_bench.leaderboard.results.result import Result
from purification_bench.leaderboard.showing.tables import Table, p_text

Place = tuple[Any, ...]


def between_stores(first: Iterable[Result], second: Iterable[Result]) -> Table:
    """Compare the cells that two stores share: dataset, classifier, defense, attack, threat, eps."""
    return _table(_by_place(first, _cell_place), _by_place(second, _cell_place))


def between_defenses(results: Iterable[Result], first: str, second: str) -> Table:
    """Compare two defenses, by label, on every attack and size that both were judged under."""
    kept = list(results)
    return _table(
        _by_place((r for r in kept if r.defense == first), _attack_place),
        _by_place((r for r in kept if r.defense == second), _attack_place),
    )


def _cell_place(result: Result) -> Place:
    return (*_attack_place(result)[:2], result.defense, *_attack_place(result)[2:])


def _attack_place(result: Result) -> Place:
    threat = result.declared.threat
    attack = f"{result.attack} ({threat.word})" if threat else "clean"
    return (", ".join(result.place), f"seed {result.seed}", attack, result.eps)


def _by_place(results: Iterable[Result], place: Callable[[Result], Place]) -> dict[Place, Result]:
    """Index the good accuracy cells; of several for one place, the one on most images."""
    usable = [r for r in current(results) if r.ok and r.kind == "accuracy"]
    return {place(r): r for r in sorted(usable, key=lambda r: (r.n, r.created))}


def _table(first: dict[Place, Result], second: dict[Place, Result]) -> Table:
    shared = [place for place in first if place in second]
    compared = []
    for place in sorted(shared, key=str):
        a, b = first[place].means, second[place].means
        n = min(len(a), len(b))
        compared.append((place, float(a[:n].mean()), float(b[:n].mean()), n, compare(a[:n], b[:n])))
    adjusted = holm([c.p_value for *_, c in compared])
    rows = [
        [
            ", ".join(str(part) for part in place[:-1]), f"{place[-1]:g}", f"{100 * a:.1f}", f"{100 * b:.1f}",
            f"{100 * c.difference:+.1f}", f"{c.wins} : {c.losses}", p_text(c.p_value), p_text(p), str(n),
        ]
        for (place, a, b, n, c), p in zip(compared, adjusted, strict=True)
    ]  # fmt: skip
    headers = ["cell", "eps", "A", "B", "A - B", "A better : worse", "p", "p (Holm)", "n"]
    missing = len(first) + len(second) - 2 * len(shared)
    note = f"{len(shared)} shared cells, {missing} without a counterpart; Holm over the shared ones."
    return Table("A against B: accuracy (%) on the same images", headers, rows, note)
