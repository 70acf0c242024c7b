"""What a run is asked for: a preset, then a TOML file, then flags, each overriding the one before."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from purification_bench.attacks.protocol import STANDARD
from purification_bench.attacks.threat import THREATS, spelled_out, threat_words
from purification_bench.benchmark.paths import PRESETS
from purification_bench.defenses.errors import UserError, unknown_name
from purification_bench.defenses.spec import parse_number

DEFAULT_PRESET = "quick"
MAX_DRAWS = 255
"""Successes over draws are counted in a byte."""


@dataclass(frozen=True)
class OfMark:
    """A size that is a share of the dataset's mark: ``"mark"``, ``"mark/3"`` in a configuration."""

    divisor: float

    def resolve(self, mark: float) -> float:
        """Return the size in pixel units."""
        return round(mark / self.divisor, 6)


Size = float | OfMark


@dataclass(frozen=True)
class Budget:
    """What a slow defense has of its own; None: what the run has."""

    n: int | None = None
    draws: int | None = None
    latency_batch: int | None = None
    attacks: tuple[str, ...] | None = None
    eot_samples: int | None = None
    stand_in: Mapping[str, Any] = field(default_factory=dict)
    """Options of use of the cheaper form that is attacked in its place: the verdict is on the defense itself."""


@dataclass(frozen=True)
class ThreatTable:
    """What a threat has of its own; None: what the run has."""

    attacks: tuple[str, ...] | None = None
    eps: Mapping[str, tuple[Size, ...]] | None = None
    n: int | None = None
    eot_samples: int | None = None


@dataclass(frozen=True)
class RunConfig:
    """A complete run. Names are specs, ``name[option=value]``; keys of presets and TOML files are these fields."""

    datasets: tuple[str, ...]
    classifiers: tuple[str, ...]
    defenses: tuple[str, ...]
    references: tuple[str, ...]
    """Defenses that every table holds whatever ``defenses`` says: the rows to compare with."""
    attacks: tuple[str, ...]
    """Each runs under the threats that give it what it needs: a gradient, queries, a decoder."""
    threats: tuple[str, ...]
    """What the attackers know: words of ``attacks.threat.THREATS``; ``adaptive`` is all that the headline needs."""
    eps: Mapping[str, tuple[Size, ...]]
    """Sizes in pixel units, by attack, and by dataset and attack (``[eps.mnist]``); the dataset's own grid otherwise.

    ``"mark"`` is the dataset's mark, ``"mark/3"`` a third of it. A list serves every attack. A file's or flag's sizes
    replace the preset's as a whole.
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
    eot_samples: int
    """Draws of a stochastic defense that an attacker who sees it averages each gradient over."""
    protocol: str = STANDARD
    """The rules that attacks run under, a word of ``attacks.protocol.PROTOCOLS``."""
    substitute: str = "model_a_at"
    """The classifier that is attacked under ``transfer``."""
    threat: Mapping[str, ThreatTable] = field(default_factory=dict)
    """``[threat.whitebox]``: ``attacks``, ``eps``, ``n``, ``eot_samples`` of that threat alone."""
    budget: Mapping[str, Budget] = field(default_factory=dict)
    """For a slow defense, by name (``[budget.defensegan]``), or by name and threat (``[budget.defensegan.whitebox]``,
    key ``defensegan.whitebox`` here).

    A file's or flag's value replaces those that the preset's threats and budgets name.
    """

    def n_of(self, defense: str, threat: str = "graybox") -> int:
        """Return the number of images that a defense, by name, is judged on under a threat."""
        own = self._budget(f"{defense}.{threat}").n
        if own is not None:
            return own
        base = self._budget(defense).n or self.n
        return min(base, self._table(threat).n or base)

    def draws_of(self, defense: str) -> int:
        """Return the draws of a stochastic defense, by name."""
        own = self._budget(defense).draws
        return self.draws if own is None else own

    def latency_batch_of(self, defense: str) -> int:
        """Return the batch in which images/s of a defense, by name, is measured."""
        own = self._budget(defense).latency_batch
        return self.latency_batch if own is None else own

    def eot_samples_of(self, defense: str, threat: str) -> int:
        """Return the draws that each gradient is averaged over."""
        places = (self._budget(f"{defense}.{threat}"), self._budget(defense), self._table(threat))
        return next((place.eot_samples for place in places if place.eot_samples is not None), self.eot_samples)

    def stand_in_of(self, defense: str, threat: str) -> Mapping[str, Any]:
        """Return the options of the cheaper form that is attacked in a defense's place; empty where there is none."""
        return self._budget(f"{defense}.{threat}").stand_in or self._budget(defense).stand_in

    def attacks_of(self, defense: str, threat: str) -> tuple[str, ...]:
        """Return the attacks on a defense, by name, some of which may not fit the threat."""
        places = (self._budget(f"{defense}.{threat}"), self._table(threat), self)
        return next(place.attacks for place in places if place.attacks is not None)

    def _budget(self, key: str) -> Budget:
        return self.budget.get(key, Budget())

    def _table(self, threat: str) -> ThreatTable:
        return self.threat.get(threat, ThreatTable())

    def sizes(
        self, dataset: str, attack: str, threat: str, grid: tuple[float, ...], mark: float
    ) -> tuple[float, ...]:  # fmt: skip
        """Return the sizes for an attack on a dataset, by name, with its mark; ``grid`` where there are none."""
        for table in (self._table(threat).eps or {}, self.eps):
            for key in (f"{dataset}.{attack}", f"{dataset}.default", attack, "default"):
                if key in table:
                    sizes = (size.resolve(mark) if isinstance(size, OfMark) else size for size in table[key])
                    return tuple(dict.fromkeys(sizes))
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
            for table in ("threat", "budget"):
                if table not in values:
                    merged[table] = _cleared(key, merged.get(table, {}))
    return RunConfig(**merged)


def _cleared(key: str, tables: Mapping[str, Any]) -> dict[str, Any]:
    """Leave ``key`` to the run in all ``tables`` that have one of their own."""
    return {name: replace(own, **{key: None}) if hasattr(own, key) else own for name, own in tables.items()}


def preset_names() -> list[str]:
    """Return the names of the presets."""
    return sorted(path.stem for path in PRESETS.glob("*.toml"))


def preset_summary(name: str) -> str:
    """Return the comment line that a preset's file starts with."""
    return (PRESETS / f"{name}.toml").read_text(encoding="utf-8").split("\n")[0].lstrip("# ")


_KEYS = [known.name for known in fields(RunConfig)]
_LISTS = ("datasets", "classifiers", "defenses", "references", "attacks", "threats")
_COUNTS = ("n", "draws", "latency_batch", "batch_size", "eot_samples")


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
    if key == "threat":
        for name, _ in _tables(key, value, source):
            if name not in THREATS:
                raise unknown_name(f"threat in {source}:", name, [*THREATS])
        return {name: _table(f"threat.{name}", ThreatTable, own, source) for name, own in _tables(key, value, source)}
    if key == "budget":
        return _budgets(value, source)
    if key in _LISTS:
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise UserError(f"{key} in {source} must be a list of names, not {value!r}")
        if not value and key not in ("references", "defenses"):
            raise UserError(f"{key} in {source} must not be empty")
        return _threats(value, source) if key == "threats" else tuple(value)
    if key in _COUNTS:
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise UserError(f"{key} in {source} must be a whole number of at least 1, not {value!r}")
        if key == "draws" and value > MAX_DRAWS:
            raise UserError(f"draws in {source} must be at most {MAX_DRAWS}, not {value}")
        return value
    kind = {"seed": int, "latency": bool, "device": str, "protocol": str, "substitute": str, "stand_in": dict}[key]
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise UserError(f"{key} in {source} must be {kind.__name__}, not {value!r}")
    return value


def _threats(words: list[str], source: str) -> tuple[str, ...]:
    valid = threat_words()
    for word in words:
        if word not in valid:
            raise unknown_name(f"threat in {source}:", word, valid)
    return spelled_out(words)


def _tables(key: str, value: Any, source: str) -> list[tuple[str, Any]]:
    if not isinstance(value, dict) or not all(isinstance(own, dict) for own in value.values()):
        raise UserError(f"{key} in {source} must be tables, [{key}.NAME], not {value!r}")
    return list(value.items())


def _table(
    name: str, kind: type[Any], values: Mapping[str, Any], source: str, without: tuple[str, ...] = ()
) -> Any:  # fmt: skip
    keys = [known.name for known in fields(kind) if known.name not in without]
    for key in values:
        if key not in keys:
            raise unknown_name(f"key of [{name}] in {source}:", key, keys)
    return kind(**{key: _checked(key, value, source) for key, value in values.items()})


def _budgets(value: Any, source: str) -> dict[str, Budget]:
    """Read ``[budget.DEFENSE]`` and ``[budget.DEFENSE.THREAT]``."""
    found = {}
    for defense, own in _tables("budget", value, source):
        nested = {word: counts for word, counts in own.items() if word in THREATS}
        plain = {key: count for key, count in own.items() if key not in THREATS}
        found[defense] = _table(f"budget.{defense}", Budget, plain, source, without=("attacks",))
        for word, counts in _tables(f"budget.{defense}", nested, source):
            place = f"{defense}.{word}"
            found[place] = _table(f"budget.{place}", Budget, counts, source, without=("draws", "latency_batch"))
    return found


def _sizes(value: Any) -> dict[str, tuple[Size, ...]]:
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


def _size(item: Any) -> Size:
    if isinstance(item, str) and item.startswith("mark"):
        return _of_mark(item)
    number = parse_number(item) if isinstance(item, str) else item
    if not isinstance(number, int | float) or isinstance(number, bool) or not math.isfinite(number) or number < 0:
        raise UserError(f"eps must be a number that is not negative, not {item!r} (or mark, mark/3: of the mark)")
    return float(number)


def _of_mark(item: str) -> OfMark:
    word, slash, divisor = item.partition("/")
    number = parse_number(divisor) if slash else 1
    if word != "mark" or not isinstance(number, int | float) or number <= 0:
        raise UserError(f"eps must be a number that is not negative, not {item!r} (or mark, mark/3: of the mark)")
    return OfMark(float(number))
