"""Laying out a run: names, options, versions and digests in, cells out. Nothing is loaded.

Classes are known by what they say of themselves (``facts``), weights by their manifest entries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from purification_bench.attacks.protocol import PROTOCOLS, STANDARD, Rules
from purification_bench.attacks.threat import BASELINE, SUBMITTED, THREATS, Norm, PlannedAttack, threat
from purification_bench.benchmark.assets import zoo
from purification_bench.benchmark.assets.finding import find_classifier
from purification_bench.benchmark.facts import (
    ClassifierFacts,
    DatasetFacts,
    DefenseFacts,
    Facts,
    of_attack,
    of_classifier,
    of_dataset,
    of_defense,
)
from purification_bench.benchmark.run.cells import AccuracyCell, Cell, Judged, LatencyCell, Plan, Setting
from purification_bench.benchmark.run.config import RunConfig
from purification_bench.benchmark.run.identity import attack_identity, dataset_identity, identity
from purification_bench.benchmark.run.override_tables import check_names
from purification_bench.benchmark.run.planned_attacks import AttackPlanner
from purification_bench.benchmark.run.planned_defenses import judged
from purification_bench.benchmark.run.worst_case import chained
from purification_bench.defenses.errors import UserError, unknown_name
from purification_bench.defenses.spec import Spec, write_spec
from purification_bench.leaderboard.results.sizes import in_words

F = TypeVar("F", bound=Facts)


def plan(config: RunConfig, machine: Mapping[str, Any], zoo_folder: Path | None = None) -> Plan:
    """Lay out every cell that a configuration asks for.

    Parameters
    ----------
    machine:
        What ``environment.describe`` says: latencies are keyed by it.

    Raises
    ------
    UserError
        For a name or an option that there is not, weights that nobody trained, an attack that measures nothing.
    """
    rules = _rules(config)
    datasets = _datasets(config, rules)
    defenses = _each(of_defense, (*config.references, *config.defenses))
    classifiers = _each(of_classifier, config.classifiers)
    _each(of_attack, _attacks(config, defenses))  # refused before anything is laid out
    if not defenses:
        raise UserError("no defense to run: give --defenses, or references in the configuration")
    check_names(config.overrides)
    warnings: list[str] = []
    cells: list[Cell] = []
    for dataset in datasets:
        for classifier in classifiers:
            site = Site(dataset, classifier, config, rules, machine, tuple(zoo.search_path(zoo_folder)))
            of_site = list(site.cells(defenses, warnings))
            cells += chained(of_site) if config.worst_case else of_site
    warnings += [*_not_run(config, cells), *_not_compared(datasets, rules, cells)]
    return Plan(tuple(cells), tuple(dict.fromkeys(warnings)))


def _not_run(config: RunConfig, cells: Iterable[Cell]) -> Iterator[str]:
    """Say where nothing is attacked, or which attack with a threat of its own nobody runs."""
    run = {cell.attack.attack.label for cell in cells if isinstance(cell, AccuracyCell) and cell.attack is not None}
    if not run:
        yield f"nothing is attacked: no defense and no attack here are what {' or '.join(config.threats)} fits"
        return
    for attack in map(of_attack, config.attacks):
        giving = [word for word, each in THREATS.items() if attack.needs in each.gives]
        own = attack.needs not in threat(BASELINE).gives
        if own and attack.spec.label not in run and not set(giving) & set(config.threats):
            needs = f"attack {attack.spec.label!r} is not run: it takes {attack.needs}"
            yield f"{needs}, which {' or '.join(giving)} gives, not {', '.join(config.threats)}"


def _not_compared(datasets: Iterable[DatasetFacts], rules: Rules, cells: Sequence[Cell]) -> Iterator[str]:
    """Say on which data sets nothing is attacked at the size at which rows are compared."""
    attacked = [cell for cell in cells if isinstance(cell, AccuracyCell) and cell.attack and cell.attack.norm == "linf"]
    for dataset in datasets if rules.compared else ():
        sizes = {cell.eps for cell in attacked if cell.setting.dataset.label == dataset.spec.label}
        if sizes and dataset.eps not in sizes:
            mark = in_words(dataset.eps)
            yield f"{dataset.spec.label}: no attack of size {mark}, at which rows are compared: --eps mark adds it"


def with_submission(
    planned: Plan, attack: Spec, norm: Norm, eps: float, file: Path, images: tuple[int, ...] | None
) -> Plan:
    """Return a plan in which the defenses are judged on somebody's adversarial images, and on all clean ones.

    On no others' clean ones, where the file holds only some ``images``.
    """
    cells: list[Cell] = []
    for cell in planned.cells:
        if isinstance(cell, AccuracyCell) and cell.attack is None:
            batch = cell.setting.batch_size
            use = PlannedAttack(attack, SUBMITTED.word, norm, eps, batch, file=str(file), images=images)
            attacked = replace(cell, attack=use, identity={**cell.identity, "attack": attack_identity(use)})
            cells += [attacked] if images else [cell, attacked]
    return Plan(tuple(cells), planned.warnings)


@dataclass(frozen=True)
class Site:
    """Where cells are laid out: one data set, one classifier."""

    dataset: DatasetFacts
    classifier: ClassifierFacts
    config: RunConfig
    rules: Rules
    machine: Mapping[str, Any]
    folders: tuple[Path, ...]

    def cells(self, defenses: Sequence[DefenseFacts], warnings: list[str]) -> Iterator[Cell]:
        """Yield the cells of all defenses under all threats, by the number of images that they are judged on."""
        subjects = [
            judged(each, self.dataset, self.classifier.spec, self.weights, self.folders, self.config)
            for each in defenses
        ]
        planner = AttackPlanner(self.dataset, self.classifier.spec, self.config, self.folders, warnings)
        for n, pairs in self._by_images(subjects).items():
            if self.dataset.images is not None and n > self.dataset.images:
                raise UserError(f"n must lie between 1 and {self.dataset.images} for {self.dataset.spec}, not {n}")
            setting = self._setting(n)
            of_this_size = list({each.spec.label: each for each, _ in pairs}.values())
            yield from (_accuracy_cell(setting, each, None) for each in of_this_size)
            for each, word in pairs:
                yield from (_accuracy_cell(setting, each, use) for use in planner.attacks_on(each, word, setting))
            if self.config.latency and self.rules.compared:
                timed = [each for each in of_this_size if n == self._most_images(each)]
                yield from (self._latency_cell(setting, each) for each in timed)

    @cached_property
    def weights(self) -> zoo.Weights | None:
        """The entry of the classifier's weights."""
        return find_classifier(self.classifier, self.dataset.spec.name, self.folders)

    def _by_images(self, subjects: Sequence[Judged]) -> dict[int, list[tuple[Judged, str]]]:
        """Group defenses and threats by the number of images that each is judged on."""
        grouped: dict[int, list[tuple[Judged, str]]] = {}
        for word in self.config.threats:
            for each in subjects:
                grouped.setdefault(self.config.n_of(each.spec.name, word), []).append((each, word))
        return grouped

    def _most_images(self, defense: Judged) -> int:
        """Return the largest number of images that a defense is judged on: it is timed once, among them."""
        return max(self.config.n_of(defense.spec.name, word) for word in self.config.threats)

    def _setting(self, n: int) -> Setting:
        own = {} if self.config.protocol == STANDARD else {"protocol": self.config.protocol}
        batch_size = self.config.batch_size
        shared = {
            **own,
            "dataset": dataset_identity(self.dataset),
            "classifier": identity(self.classifier, self.weights),
            "n": n,
            "seed": self.config.seed,
            "batch": {"attack": batch_size, "purify": batch_size},
        }
        where = self.dataset.spec, self.classifier.spec, self.config.protocol
        return Setting(*where, n, self.config.seed, batch_size, shared)

    def _latency_cell(self, setting: Setting, defense: Judged) -> LatencyCell:
        batch = self.config.latency_batch_of(defense.spec.name)
        described = {
            "kind": "latency",
            **{name: setting.identity[name] for name in ("dataset", "classifier", "seed")},
            "defense": defense.identity,
            "n": 0,
            "batch": batch,
            "machine": {name: self.machine[name] for name in ("device", "device_name", "threads")},
        }
        return LatencyCell(setting, defense, batch, described)


def _accuracy_cell(setting: Setting, defense: Judged, attack: PlannedAttack | None) -> AccuracyCell:
    described = {"kind": "accuracy", **setting.identity, "defense": defense.identity, "draws": defense.draws}
    described["attack"] = attack_identity(attack) if attack else None
    if attack is not None and attack.batch != setting.batch_size:
        described["batch"] = {**setting.identity["batch"], "attack": attack.batch}
    return AccuracyCell(setting, defense, attack, described)


def _each(said: Callable[[str], F], texts: Iterable[str]) -> list[F]:
    """Ask each what it says of itself; what is named twice, or once by its defaults, is one."""
    return list({facts.spec.label: facts for facts in map(said, texts)}.values())


def _attacks(config: RunConfig, defenses: Sequence[DefenseFacts]) -> list[str]:
    return [text for each in defenses for word in config.threats for text in config.attacks_of(each.spec.name, word)]


def _rules(config: RunConfig) -> Rules:
    if config.protocol not in PROTOCOLS:
        raise unknown_name("protocol", config.protocol, PROTOCOLS)
    rules = PROTOCOLS[config.protocol]
    if not rules.compared and config.threats != (BASELINE,):
        raise UserError(f"protocol {config.protocol!r} knows gray-box attacks only: give --threat {BASELINE}")
    return rules


def _datasets(config: RunConfig, rules: Rules) -> list[DatasetFacts]:
    """Return the data sets, in the pixels of the protocol."""
    resized = (_resized(each, rules) for each in _each(of_dataset, config.datasets))
    return list({each.spec.label: each for each in resized}.values())


def _resized(dataset: DatasetFacts, rules: Rules) -> DatasetFacts:
    spec = dataset.spec
    if rules.pixels is None:
        return dataset
    if spec.options.get("pixels") not in (None, rules.pixels):
        raise UserError(f"the protocol has images of {rules.pixels} pixels a side: {spec.label} asks for others")
    return of_dataset(write_spec(spec.name, {**spec.options, "pixels": rules.pixels}))
