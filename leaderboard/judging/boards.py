"""Boards: defense by defense, attack by attack, what was asked and what came out; missing stays missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from purification_bench.leaderboard.results.declared import AttackTraits, Gradient, Threat
from purification_bench.leaderboard.results.result import STANDARD, Result, place
from purification_bench.leaderboard.results.sizes import in_words

NEEDED_GRADIENTS: Mapping[Gradient, str | None] = {"surrogate": None, "true": "differentiable", "relaxation": "relaxes"}
"""What an attacker who sees a purifier must at least have followed, and the fact of the defense that each asks for.

A threat that nobody ran declares nothing: these are asked for all the same.
"""


@dataclass(frozen=True)
class Column:
    """One attack at one size under one threat."""

    attack: str
    """Its label: its name, and the options that differ from their defaults."""
    eps: float
    norm: str
    threat: Threat
    traits: AttackTraits = field(compare=False)

    @classmethod
    def of(cls, result: Result) -> Column:
        """Return the column that a result under attack belongs in."""
        threat, traits = result.declared.threat, result.declared.attack
        if threat is None or traits is None:
            raise ValueError(f"{result.key} has no attack")
        return cls(str(result.attack), result.eps, str(result.threat_model["norm"]), threat, traits)

    def __str__(self) -> str:
        return f"{self.attack} ({self.threat.word}) at {in_words(self.eps)}"

    @property
    def attack_name(self) -> str:
        """The attack's name, without its options."""
        return self.attack.partition("[")[0]


@dataclass(eq=False)
class Row:
    """One defense's results on a board: ``layout`` fills it, and nothing is added afterwards."""

    defense: str
    clean: Result | None = None
    cells: dict[Column, Result] = field(default_factory=dict)
    also: dict[Column, list[Result]] = field(default_factory=dict)
    """Results of a column that were attacked in another way (other draws, another number of images): candidates too."""
    latency: Result | None = None
    errors: list[Result] = field(default_factory=list)

    @property
    def contradicts_itself(self) -> bool:
        """It declares itself deterministic, and two passes over the same images differed."""
        probes = [r.probes for r in (self.clean, *self.cells.values()) if r is not None and r.ok]
        return not self.newest.facts["stochastic"] and any(p.get("forward_agreement") is False for p in probes)

    @property
    def undefended(self) -> bool:
        """It is the classifier alone."""
        return self.newest.declared.defense.undefended

    def fits(self, fact: str | None) -> bool:
        """Say whether a fact that something asks of the defense is true of it; True where nothing is asked."""
        return fact is None or bool(self.newest.facts.get(fact))

    @cached_property
    def newest(self) -> Result:
        """The row's last result (neither an error nor a latency, if there is another): what it now says of itself."""
        known = (r for r in (self.clean, *self.cells.values(), self.latency, *self.errors) if r is not None)
        return max(known, key=lambda r: (r.ok, r.kind == "accuracy", r.created))


@dataclass(eq=False)
class Board:
    """All defenses in front of one classifier on one dataset, attacked with one seed under one protocol."""

    dataset: str
    classifier: str
    seed: int
    protocol: str
    rows: dict[str, Row]
    columns: list[Column]
    control: Row | None = None
    """The classifier of standard training without a defense: on its board the attacks must succeed."""

    @property
    def title(self) -> str:
        """What the board is called."""
        return ", ".join(place(self.dataset, self.classifier, self.protocol))

    @property
    def mark(self) -> float:
        """The Linf size at which the field compares defenses on this dataset."""
        return float(next(iter(self.rows.values())).newest.facts["eps_mark"])

    @property
    def attacks(self) -> list[tuple[str, Threat]]:
        """The attacks of the board, each with its threat, in the order of its columns."""
        return list(dict.fromkeys((column.attack, column.threat) for column in self.columns))

    @cached_property
    def threats(self) -> list[Threat]:
        """The threats of the board, the baseline first."""
        return list(dict.fromkeys(column.threat for column in self.columns))

    @property
    def adaptive(self) -> bool:
        """Some attacker of the board sees the purifier, and counts."""
        return any(threat.sees_purifier and threat.judges for threat in self.threats)

    def sizes(self, attack: str, threat: Threat | None = None) -> list[Column]:
        """Return the columns of one attack under one threat (the baseline, if none is given), by size."""
        return [c for c in self.columns if c.attack == attack and _is_among(c.threat, [threat] if threat else [])]

    def candidates(self, eps: float, *threats: Threat) -> list[Column]:
        """Return the Linf attacks at ``eps`` under ``threats`` (the baseline alone, if none is given).

        None under another protocol than the standard one: its rows enter no worst case.
        """
        if self.protocol != STANDARD:
            return []
        return [c for c in self.columns if c.norm == "linf" and c.eps == eps and _is_among(c.threat, threats)]

    def headline(self, row: Row, eps: float) -> list[Column]:
        """Return what a row's adaptive worst case at ``eps`` is taken over: every attack that fits it.

        Attacks of smaller size that see the purifier are among them: their images lie in the larger ball as well, so
        the worst case cannot rise with eps. An attack that raised an error is left out, and the audit tells of it.
        Empty where the row lacks an attacker (``lacking``).
        """
        if self.lacking(row, eps):
            return []
        smaller = [c for c in self.columns if c.norm == "linf" and c.eps < eps and c.threat.judges]
        return self._met(row, eps) + [c for c in smaller if c.threat.sees_purifier and _is_good(row, c)]

    def lacking(self, row: Row, eps: float) -> str:
        """Say which attacker a row's headline at ``eps`` waits for; empty where it has met all.

        These are the baseline and, of many steps, each required threat that fits the defense.
        """
        met = self._met(row, eps)
        if not any(column.threat.is_baseline for column in met):
            tried = any(column in row.cells for column in self.candidates(eps))
            attacks = f"gray-box attack at {in_words(eps)}"
            return f"every {attacks} raised an error" if tried else f"no {attacks}"
        iterated = {column.threat for column in met if column.threat.required and column.traits.iterates}
        unmet = [each.word for each in self.threats if each.required and row.fits(each.asks) and each not in iterated]
        if unmet:
            return f"no attack of many steps under {' and '.join(unmet)} at {in_words(eps)}"
        followed = {threat.gradient for threat in iterated}
        if not followed:
            return "nobody attacked it who sees the purifier"
        others = [g for g, fact in NEEDED_GRADIENTS.items() if row.fits(fact) and g not in followed]
        return f"no attack of many steps follows its {' and '.join(others)} gradient" if others else ""

    def _met(self, row: Row, eps: float) -> list[Column]:
        """Return the attacks of a size that judge, and that a row was attacked with."""
        judging = [threat for threat in self.threats if threat.judges]
        return [c for c in self.candidates(eps, *judging) if _is_good(row, c)] if judging else []

    def adaptive_sizes(self, row: Row) -> list[float]:
        """Return the Linf sizes at which an attacker who sees a row's purifier was let loose."""
        sizes = {c.eps for c in self.columns if c.norm == "linf"}
        return sorted(eps for eps in sizes if self.headline(row, eps))

    @cached_property
    def shared_sizes(self) -> set[float]:
        """The sizes that all rows with a headline at the mark have one at; empty where none has."""
        grids = [set(self.adaptive_sizes(row)) for row in self.rows.values()]
        there = [grid for grid in grids if self.mark in grid]
        return set.intersection(*there) if there else set()


def _is_good(row: Row, column: Column) -> bool:
    return column in row.cells and row.cells[column].ok


def _is_among(threat: Threat, threats: Sequence[Threat]) -> bool:
    return threat in threats if threats else threat.is_baseline
