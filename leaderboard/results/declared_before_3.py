"""What results declare, and where defenses were published, that were written when they did not say it themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from purification_bench.leaderboard.results.declared import AttackTraits, Declared, DefenseTraits, Needs, Threat
from purification_bench.leaderboard.results.errors import ResultError

TABLE = Path(__file__).with_suffix(".json")


class _Table(msgspec.Struct, frozen=True):
    """The data file beside this module."""

    threats: dict[str, Threat]
    """By gradient estimator."""
    attacks: dict[str, AttackTraits]
    """By name; those of many steps iterate unless their option says that they take one."""
    needs: dict[str, Needs]
    """What other attacks need, by gradient estimator: the gradient, where none is named."""
    undefended: frozenset[str]
    """Names of defenses that change nothing."""
    papers: dict[str, str]
    """Where defenses were published, by name."""


def declared_before_3(identity: Mapping[str, Any]) -> Declared:
    """Return what a cell declares by the names in its identity; raise ``ResultError`` for an unknown estimator."""
    table, attack = _table(), identity.get("attack")
    defense = DefenseTraits(undefended=identity["defense"]["name"] in table.undefended)
    if attack is None:
        return Declared(None, None, defense)
    estimator = str(attack["estimator"])
    if estimator not in table.threats:
        raise ResultError(f"unknown gradient estimator {estimator!r}. Valid: {', '.join(table.threats)}")
    return Declared(_traits(table, attack), table.threats[estimator], defense)


def paper_before(identity: Mapping[str, Any]) -> str:
    """Return where a cell's defense was published; empty where that is not known."""
    return _table().papers.get(identity["defense"]["name"], "")


def _traits(table: _Table, attack: Mapping[str, Any]) -> AttackTraits:
    steps = attack["options"].get("steps")
    known = table.attacks.get(str(attack["name"]))
    if known is not None:
        return replace(known, iterates=False) if steps == 1 else known
    needs = table.needs.get(str(attack["estimator"]), "gradient")
    many = isinstance(steps, int) and steps > 1
    return AttackTraits(needs, iterates=many, single_step=False, control=False, transfers=True)


@cache
def _table() -> _Table:
    return msgspec.json.decode(TABLE.read_bytes(), type=_Table)
