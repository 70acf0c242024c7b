"""What a run is asked for: a preset, then a TOML file, then flags, each overriding the one before.

A file holds fields of ``RunConfig``, and for some defenses, threats, attacks or datasets ``[[override]]`` tables
(``overrides`` says which of them wins)::

    threats = ["adaptive"]
    eps = ["mark/3", "mark"]
    n = 500

    [[override]]
    defense = "defensegan"
    n = 50

    [[override]]
    defense = "defensegan"
    threat = "blackbox"
    n = 20
    attacks = ["square[queries=200]"]

What a later source says at the top level counts everywhere: ``-n 100`` is 100 images for Defense-GAN too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from purification_bench.attacks.protocol import STANDARD
from purification_bench.attacks.threat import BASELINE, spelled_out, threat_words
from purification_bench.benchmark.run import override_tables, presets, sizes
from purification_bench.benchmark.run.overrides import Override, Sources, resolve
from purification_bench.benchmark.run.sizes import Sizes
from purification_bench.benchmark.run.values import Count, Draws, Names, SomeNames, Whole, Word, YesNo, checked
from purification_bench.defenses.errors import UserError, unknown_name

T = TypeVar("T")


@dataclass(frozen=True)
class RunConfig:
    """A complete run. Names are specs, ``name[option=value]``; keys of presets and TOML files are these fields."""

    datasets: SomeNames
    classifiers: SomeNames
    defenses: Names
    references: Names
    """Defenses that every table holds whatever ``defenses`` says: the rows to compare with."""
    attacks: SomeNames
    """Each runs under the threats that give it what it needs: a gradient, queries, a decoder."""
    threats: SomeNames
    """What the attackers know: words of ``attacks.threat.THREATS``; ``adaptive`` is all that the headline needs."""
    n: Count
    seed: Whole
    draws: Draws
    """Independent draws of a stochastic defense for each image, twice: to choose the worst attack, and to report."""
    batch_size: Count
    latency: YesNo
    latency_batch: Count
    """Images in a batch when images/s is measured."""
    device: Word
    eot_samples: Count
    """Draws of a stochastic defense that an attacker who sees it averages each gradient over."""
    eps: Sizes | None = None
    """Sizes in pixel units, for every attack: ``"mark"`` is the dataset's mark, ``"mark/3"`` a third of it.

    None: the dataset's own grid.
    """
    protocol: Word = STANDARD
    """The rules that attacks run under, a word of ``attacks.protocol.PROTOCOLS``."""
    substitute: Word = "model_a_at"
    """The classifier that is attacked under ``transfer``."""
    worst_case: YesNo = False
    """Attacks that see a defense pass over what earlier ones have broken: the headline alone, without an audit."""
    edition: Word = ""
    """Of the preset's attacks: raised when they change, kept in results, and shown beside what a row is worth.

    Empty where a file or a flag has changed which attacks run, or how hard they try."""
    overrides: Sources = ()
    """What holds for some defenses, threats, attacks or datasets only."""

    def n_of(self, defense: str, threat: str = BASELINE) -> int:
        """Return the number of images that a defense, by name, is judged on under a threat."""
        return self._of(lambda said: said.n, self.n, defense=defense, threat=threat)

    def draws_of(self, defense: str) -> int:
        """Return the draws of a stochastic defense, by name."""
        return self._of(lambda said: said.draws, self.draws, defense=defense)

    def latency_batch_of(self, defense: str) -> int:
        """Return the batch in which images/s of a defense, by name, is measured."""
        return self._of(lambda said: said.latency_batch, self.latency_batch, defense=defense)

    def eot_samples_of(self, defense: str, threat: str) -> int:
        """Return the draws that each gradient is averaged over."""
        return self._of(lambda said: said.eot_samples, self.eot_samples, defense=defense, threat=threat)

    def attacks_of(self, defense: str, threat: str) -> tuple[str, ...]:
        """Return the attacks on a defense, by name, some of which may not fit the threat."""
        return self._of(lambda said: said.attacks, self.attacks, defense=defense, threat=threat)

    def stand_in_of(self, defense: str, threat: str) -> Mapping[str, Any]:
        """Return the options of the cheaper form that is attacked in a defense's place; empty where there is none."""
        return self._of(lambda said: said.stand_in, {}, defense=defense, threat=threat)

    def sizes(self, dataset: str, attack: str, threat: str, grid: tuple[float, ...], mark: float) -> tuple[float, ...]:
        """Return the sizes for an attack on a dataset, by name, with its mark; ``grid`` where there are none."""
        eps = self._of(lambda said: said.eps, self.eps, dataset=dataset, attack=attack, threat=threat)
        return grid if eps is None else sizes.in_pixels(eps, mark)

    def _of(self, value: Callable[[Override], T | None], otherwise: T, **place: str) -> T:
        own = resolve(self.overrides, value, place)
        return otherwise if own is None else own


OVERRIDE = "override"
KINDS = get_type_hints(RunConfig, include_extras=True)
KEYS = [field.name for field in fields(RunConfig) if field.name != "overrides"]
EFFORT = frozenset({"attacks", "eot_samples", "protocol", "substitute", OVERRIDE})
"""Keys that change what attackers do; not on how many images, under which threats, or at which sizes."""
GONE = {
    "threat": '[[override]] with threat = "NAME"',
    "budget": '[[override]] with defense = "NAME", threat = "NAME" or both',
    "eps": '[[override]] with dataset = "NAME", attack = "NAME" or both, and eps = [...]',
}
"""What says today what tables of these names said."""


def load(preset: str | None, file: Path | None, flags: Mapping[str, Any], said_by: str = "command line") -> RunConfig:
    """Merge preset, file and flags (those that are not None, as ``said_by`` gives them); check every key and value."""
    name = preset or presets.DEFAULT
    read = [(f"preset {name}", presets.read(name))]
    read += [(str(file), presets.read_file(file))] if file is not None else []
    read += [(said_by, {key: value for key, value in flags.items() if value is not None})]
    merged: dict[str, Any] = {}
    overrides: Sources = ()
    for place, (source, values) in enumerate(read):
        top = {key: _checked(key, value, source) for key, value in values.items() if key != OVERRIDE}
        earlier = tuple(tuple(said.without(top) for said in those) for those in overrides)
        overrides = (*earlier, override_tables.read(values.get(OVERRIDE, []), source))
        merged |= top
        if place and "edition" in values:
            raise UserError(f"an edition is a preset's: {source} cannot give one")
        if place and (values.keys() & EFFORT or values.get("worst_case")):
            merged["edition"] = ""
    return RunConfig(**merged, overrides=overrides)


def _checked(key: str, value: Any, source: str) -> Any:
    if key in GONE and isinstance(value, dict):
        raise UserError(f"[{key}] tables in {source} are no longer read: write {GONE[key]}")
    if key not in KEYS:
        raise unknown_name(f"configuration key in {source}:", key, [*KEYS, OVERRIDE])
    given = checked(key, value, KINDS[key], source)
    if key == "eps":
        return sizes.read(given, source)
    return _threats(given, source) if key == "threats" else given


def _threats(words: tuple[str, ...], source: str) -> tuple[str, ...]:
    """Spell ``adaptive`` out, and bring threats into the order of the table of threats."""
    valid = threat_words()
    for word in words:
        if word not in valid:
            raise unknown_name(f"threat in {source}:", word, valid)
    return spelled_out(words)
