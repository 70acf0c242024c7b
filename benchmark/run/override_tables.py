"""Reading ``[[override]]`` tables: each key, value and choice checked, each error one line that says where."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, get_type_hints

from purification_bench.attacks.threat import THREATS
from purification_bench.benchmark.registries import ATTACKS, DATASETS, DEFENSES
from purification_bench.benchmark.run import sizes
from purification_bench.benchmark.run.overrides import CHOSEN_BY, SELECTORS, Override, Sources
from purification_bench.benchmark.run.values import Tables, checked
from purification_bench.defenses.errors import UserError, unknown_name

KINDS: Mapping[str, Any] = get_type_hints(Override, include_extras=True)


def read(tables: Any, source: str) -> tuple[Override, ...]:
    """Return the overrides of one source; raise ``UserError`` for the first that cannot be."""
    listed: list[dict[str, Any]] = checked("override", tables, Tables, source)
    return tuple(_override(table, f"override {number} of {source}") for number, table in enumerate(listed, 1))


def check_names(overrides: Sources) -> None:
    """Raise ``UserError`` for a defense, attack or dataset that does not exist; plug-ins are loaded by now."""
    for said in (said for source in overrides for said in source):
        for registry in (DEFENSES, ATTACKS, DATASETS):
            _check_known(registry.kind, said.selectors.get(registry.kind, ()), registry.names(), "an override")


def _override(table: Mapping[str, Any], source: str) -> Override:
    for key in table:
        if key not in KINDS:
            raise unknown_name(f"key of {source}:", key, KINDS)
    given = {key: checked(key, _listed(key, value), KINDS[key], source) for key, value in table.items()}
    if "eps" in given:
        given["eps"] = sizes.read(given["eps"], source)
    said = Override(**given)
    _check_known("threat", said.threat or (), THREATS, source)
    _check_choice(said, source)
    return said


def _listed(key: str, value: Any) -> Any:
    """Return a selector's one name as a list of one."""
    return [value] if key in SELECTORS and isinstance(value, str) else value


def _check_choice(said: Override, source: str) -> None:
    """Raise ``UserError`` where something is said of nothing, nothing of something, or what no selector chooses."""
    if not said.selectors:
        raise UserError(f"{source} is for nothing: give it one of {', '.join(SELECTORS)}, or write it at the top level")
    if not said.values:
        raise UserError(f"{source} says nothing: give it one of {', '.join(CHOSEN_BY)}")
    for key in said.values:
        for selector in said.selectors:
            if selector not in CHOSEN_BY[key]:
                valid = ", ".join(CHOSEN_BY[key])
                raise UserError(f"{key} in {source} cannot differ by {selector}. Valid: {valid}")
    if said.stand_in is not None and said.defense is None:
        raise UserError(f"stand_in in {source} has options of a defense: name it with defense = ...")


def _check_known(kind: str, names: Iterable[str], valid: Iterable[str], source: str) -> None:
    for name in names:
        if name not in valid:
            raise unknown_name(f"{kind} in {source}:", name, valid)
