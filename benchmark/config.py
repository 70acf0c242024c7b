"""What a run is asked for: a preset, then a TOML file, then flags, each overriding the one before."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from benchmark.paths import PRESETS
from defenses.errors import UserError, unknown_name
from defenses.spec import parse_number

DEFAULT_PRESET = "quick"
MAX_DRAWS = 255
"""Successes over draws are counted in a byte."""


@dataclass(frozen=True)
class RunConfig:
    """A complete run. Names are specs, ``name[option=value]``; keys of presets and TOML files are these fields."""

    datasets: tuple[str, ...]
    classifiers: tuple[str, ...]
    defenses: tuple[str, ...]
    references: tuple[str, ...]
    """Defenses that every table holds whatever ``defenses`` says: the rows to compare with."""
    attacks: tuple[str, ...]
    eps: Mapping[str, tuple[float, ...]]
    """Sizes in pixel units, by attack, and by dataset and attack (``[eps.mnist]``); the dataset's own grid otherwise.

    A list serves every attack. A file's or flag's sizes replace the preset's as a whole.
    """
    n: int
    seed: int
    draws: int
    """Independent draws of a stochastic defense for each image, twice: to choose the worst attack, and to report."""
    batch_size: int
    latency: bool
    latency_batch: int
    """Images in a batch when images/s is measured."""
    device: str
    budget: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """For a slow defense, by name: ``n``, ``draws``, ``latency_batch`` of its own (``[budget.defensegan]``).

    A file's or flag's ``n``, ``draws`` or ``latency_batch`` replaces those that the preset's budgets name.
    """

    def of(self, defense: str, key: str) -> int:
        """Return ``n``, ``draws`` or ``latency_batch`` for a defense, by name."""
        count: int = self.budget.get(defense, {}).get(key, getattr(self, key))
        return count

    def sizes(self, dataset: str, attack: str, grid: tuple[float, ...]) -> tuple[float, ...]:
        """Return the sizes for an attack on a dataset, by name; ``grid`` where the configuration has none."""
        for key in (f"{dataset}.{attack}", f"{dataset}.default", attack, "default"):
            if key in self.eps:
                return self.eps[key]
        return grid


def load(preset: str | None, file: Path | None, flags: Mapping[str, Any]) -> RunConfig:
    """Merge preset, file and flags (those that are not None) and check every key and value."""
    merged: dict[str, Any] = {}
    sources = [(f"preset {preset or DEFAULT_PRESET}", _preset(preset or DEFAULT_PRESET))]
    if file is not None:
        sources.append((f"{file}", _read(file)))
    sources.append(("command line", {key: value for key, value in flags.items() if value is not None}))
    for source, values in sources:
        for key, value in values.items():
            if key not in _KEYS:
                raise unknown_name(f"configuration key in {source}:", key, _KEYS)
            merged[key] = _checked(key, value, source)
            if key in _BUDGETED and "budget" not in values:
                merged["budget"] = _without(key, merged.get("budget", {}))
    return RunConfig(**merged)


def _without(key: str, budget: Mapping[str, Mapping[str, int]]) -> dict[str, dict[str, int]]:
    return {defense: {k: v for k, v in counts.items() if k != key} for defense, counts in budget.items()}


def preset_names() -> list[str]:
    """Return the names of the presets."""
    return sorted(path.stem for path in PRESETS.glob("*.toml"))


def preset_summary(name: str) -> str:
    """Return the comment line that a preset's file starts with."""
    return (PRESETS / f"{name}.toml").read_text(encoding="utf-8").split("\n")[0].lstrip("# ")


_KEYS = [known.name for known in fields(RunConfig)]
_LISTS = ("datasets", "classifiers", "defenses", "references", "attacks")
_BUDGETED = ("n", "draws", "latency_batch")
_COUNTS = (*_BUDGETED, "batch_size")


def _preset(name: str) -> dict[str, Any]:
    if name not in preset_names():
        raise unknown_name("preset", name, preset_names())
    return _read(PRESETS / f"{name}.toml")


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"configuration file {str(file)!r} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"configuration file {str(file)!r} is not TOML: {error}") from error


def _checked(key: str, value: Any, source: str) -> Any:
    if key == "eps":
        return _sizes(value)
    if key == "budget":
        return _budget(value, source)
    if key in _LISTS:
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise UserError(f"{key} in {source} must be a list of names, not {value!r}")
        if not value and key not in ("references", "defenses"):
            raise UserError(f"{key} in {source} must not be empty")
        return tuple(value)
    if key in _COUNTS:
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise UserError(f"{key} in {source} must be a whole number of at least 1, not {value!r}")
        if key == "draws" and value > MAX_DRAWS:
            raise UserError(f"draws in {source} must be at most {MAX_DRAWS}, not {value}")
        return value
    kind = {"seed": int, "latency": bool, "device": str}[key]
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise UserError(f"{key} in {source} must be {kind.__name__}, not {value!r}")
    return value


def _budget(value: Any, source: str) -> dict[str, dict[str, int]]:
    if not isinstance(value, dict) or not all(isinstance(counts, dict) for counts in value.values()):
        raise UserError(f"budget in {source} must be tables, [budget.DEFENSE], not {value!r}")
    for counts in value.values():
        for key in counts:
            if key not in _BUDGETED:
                raise unknown_name(f"key of a budget in {source}:", key, _BUDGETED)
    return {
        name: {key: _checked(key, count, source) for key, count in counts.items()} for name, counts in value.items()
    }


def _sizes(value: Any) -> dict[str, tuple[float, ...]]:
    given = value if isinstance(value, dict) else {"default": value}
    flat: dict[str, Any] = {}
    for name, items in given.items():
        nested = items if isinstance(items, dict) else {}
        flat |= {f"{name}.{attack}": sizes for attack, sizes in nested.items()} or {name: items}
    return {name: tuple(dict.fromkeys(_size(item) for item in _as_list(items))) for name, items in flat.items()}


def _as_list(items: Any) -> list[Any]:
    if not isinstance(items, list) or not items:
        raise UserError(f"eps must be a list of sizes, not {items!r}")
    return items


def _size(item: Any) -> float:
    number = parse_number(item) if isinstance(item, str) else item
    if not isinstance(number, int | float) or isinstance(number, bool) or not math.isfinite(number) or number < 0:
        raise UserError(f"eps must be a number that is not negative, not {item!r}")
    return float(number)
