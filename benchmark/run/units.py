"""Units of work: cells that are computed together. A unit is plain data, and running it gives results."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from purification_bench.benchmark.run.cells import AccuracyCell, Cell, LatencyCell, Setting
from purification_bench.defenses.spec import Spec


@dataclass(frozen=True)
class CleanUnit:
    """One defense on clean images."""

    cells: tuple[AccuracyCell, ...]


@dataclass(frozen=True)
class AttackUnit:
    """One attack under one threat at all its sizes: every defense where it sees none, else the one it sees.

    Of one size alone where it passes over what other cells have broken.
    """

    cells: tuple[AccuracyCell, ...]


@dataclass(frozen=True)
class LatencyUnit:
    """The defenses of one setting that are timed together, their calls interleaved."""

    cells: tuple[LatencyCell, ...]


Unit: TypeAlias = CleanUnit | AttackUnit | LatencyUnit


def units_of(cells: Iterable[Cell]) -> list[Unit]:
    """Put cells together in units, setting by setting: clean images first, then attack by attack, then latency."""
    settings: dict[str, list[Cell]] = {}
    for cell in cells:
        settings.setdefault(cell.setting.key, []).append(cell)
    return [unit for together in settings.values() for unit in _of_one_setting(together)]


def _of_one_setting(cells: list[Cell]) -> list[Unit]:
    clean: dict[str, list[AccuracyCell]] = {}
    attacked: dict[tuple[str, ...], list[AccuracyCell]] = {}
    timed: dict[int, list[LatencyCell]] = {}
    for cell in cells:
        if isinstance(cell, LatencyCell):
            timed.setdefault(cell.batch, []).append(cell)
        elif cell.attack is None:
            clean.setdefault(cell.defense.spec.label, []).append(cell)
        else:
            alone = () if cell.after is None else (cell.key,)
            place = cell.attack.attack.label, cell.attack.threat, cell.seen, *alone
            attacked.setdefault(place, []).append(cell)
    return [
        *(CleanUnit(tuple(each)) for each in clean.values()),
        *(AttackUnit(tuple(each)) for each in attacked.values()),
        *(LatencyUnit(tuple(each)) for each in timed.values()),
    ]


def setting_of(unit: Unit) -> Setting:
    """Return the setting of a unit's cells."""
    return unit.cells[0].setting


def named(unit: Unit) -> str:
    """Say in words what a unit computes."""
    cell, defenses = unit.cells[0], list(dict.fromkeys(cell.defense.spec.label for cell in unit.cells))
    who = defenses[0] if len(defenses) == 1 else f"{len(defenses)} defenses"
    where = cell.setting.where
    if isinstance(cell, LatencyCell):
        return f"{where}: latency of {who}"
    if cell.attack is None:
        return f"{where}: {who} on clean images"
    return f"{where}: {cell.attack.attack.label} ({cell.attack.threat}) against {who}"


def defenses_of(unit: Unit) -> list[Spec]:
    """Return the defenses that a unit needs: those it judges, and what is attacked in their place."""
    needed = {cell.defense.spec.label: cell.defense.spec for cell in unit.cells}
    for cell in unit.cells:
        if isinstance(cell, AccuracyCell) and cell.attack and cell.attack.stand_in:
            needed[cell.attack.stand_in.label] = cell.attack.stand_in
    return list(needed.values())
