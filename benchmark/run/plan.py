"""Laying out a run: names, options, versions and digests in, cells out. Nothing is loaded.

Classes are made without weights or images, to ask what they declare; weights are known by their manifest entries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from purification_bench.attacks.base import Attack
from purification_bench.attacks.protocol import PROTOCOLS, STANDARD, Rules
from purification_bench.attacks.threat import BASELINE, SUBMITTED, Norm, PlannedAttack
from purification_bench.benchmark.assets import zoo
from purification_bench.benchmark.assets.data import ImageDataset
from purification_bench.benchmark.assets.loading import find_classifier
from purification_bench.benchmark.registries import ATTACKS, CLASSIFIERS, DATASETS, DEFENSES
from purification_bench.benchmark.run.cells import AccuracyCell, Cell, Judged, LatencyCell, Plan, Setting
from purification_bench.benchmark.run.config import RunConfig
from purification_bench.benchmark.run.identity import attack_identity, dataset_identity, identity
from purification_bench.benchmark.run.override_tables import check_names
from purification_bench.benchmark.run.planned_attacks import AttackPlanner
from purification_bench.benchmark.run.planned_defenses import judged
from purification_bench.defenses.errors import UserError, unknown_name
from purification_bench.defenses.faults import FAULTS, reason
from purification_bench.defenses.registry import Registry
from purification_bench.defenses.spec import Spec


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
    datasets = [plug_in(DATASETS.create, spec) for spec in _datasets(config, rules)]
    defenses = _specs(DEFENSES, (*config.references, *config.defenses))
    classifiers = _specs(CLASSIFIERS, config.classifiers)
    attacks = {spec.label: plug_in(ATTACKS.create, spec) for spec in _specs(ATTACKS, _attacks(config, defenses))}
    if not defenses:
        raise UserError("no defense to run: give --defenses, or references in the configuration")
    check_names(config.overrides)
    warnings: list[str] = []
    cells: list[Cell] = []
    for dataset in datasets:
        for classifier in classifiers:
            site = Site(dataset, classifier, config, rules, machine, tuple(zoo.search_path(zoo_folder)), attacks)
            cells += site.cells(defenses, warnings)
    if not any(isinstance(cell, AccuracyCell) and cell.attack is not None for cell in cells):
        warnings.append(f"nothing is attacked: no defense here is one that {' or '.join(config.threats)} fits")
    return Plan(tuple(cells), tuple(dict.fromkeys(warnings)))


def with_submission(planned: Plan, attack: Spec, norm: Norm, eps: float, file: Path) -> Plan:
    """Return a plan in which the defenses are judged on clean images and on somebody's adversarial ones."""
    cells: list[Cell] = []
    for cell in planned.cells:
        if isinstance(cell, AccuracyCell) and cell.attack is None:
            use = PlannedAttack(attack, SUBMITTED.word, norm, eps, cell.setting.batch_size, file=str(file))
            cells += [cell, replace(cell, attack=use, identity={**cell.identity, "attack": attack_identity(use)})]
    return Plan(tuple(cells), planned.warnings)


@dataclass(frozen=True)
class Site:
    """Where cells are laid out: one data set, one classifier."""

    dataset: ImageDataset
    classifier: Spec
    config: RunConfig
    rules: Rules
    machine: Mapping[str, Any]
    folders: tuple[Path, ...]
    attacks: Mapping[str, Attack]

    def cells(self, defenses: Sequence[Spec], warnings: list[str]) -> Iterator[Cell]:
        """Yield the cells of all defenses under all threats, by the number of images that they are judged on."""
        subjects = [
            judged(spec, self.dataset, self.classifier, self.weights, self.folders, self.config) for spec in defenses
        ]
        planner = AttackPlanner(self.dataset, self.classifier, self.config, self.folders, self.attacks, warnings)
        for n, pairs in self._by_images(subjects).items():
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
            "classifier": identity(CLASSIFIERS, self.classifier, self.weights),
            "n": n,
            "seed": self.config.seed,
            "batch": {"attack": batch_size, "purify": batch_size},
        }
        where = self.dataset.spec, self.classifier, self.config.protocol
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


def _specs(registry: Registry, texts: Sequence[str]) -> list[Spec]:
    """Read specs; what is named twice, or once by its defaults, is one."""
    return list({spec.label: spec for spec in map(registry.spec, texts)}.values())


def _attacks(config: RunConfig, defenses: Sequence[Spec]) -> list[str]:
    return [text for each in defenses for word in config.threats for text in config.attacks_of(each.name, word)]


def _rules(config: RunConfig) -> Rules:
    if config.protocol not in PROTOCOLS:
        raise unknown_name("protocol", config.protocol, PROTOCOLS)
    rules = PROTOCOLS[config.protocol]
    if not rules.compared and config.threats != (BASELINE,):
        raise UserError(f"protocol {config.protocol!r} knows gray-box attacks only: give --threat {BASELINE}")
    return rules


def _datasets(config: RunConfig, rules: Rules) -> list[Spec]:
    """Return the data sets, in the pixels of the protocol."""
    resized = (_resized(spec, rules) for spec in _specs(DATASETS, config.datasets))
    return list({spec.label: spec for spec in resized}.values())


def _resized(spec: Spec, rules: Rules) -> Spec:
    if rules.pixels is None:
        return spec
    if spec.options.get("pixels") not in (None, rules.pixels):
        raise UserError(f"the protocol has images of {rules.pixels} pixels a side: {spec.label} asks for others")
    return DATASETS.spec(spec.name, **{**spec.options, "pixels": rules.pixels})


def plug_in(call: Callable[..., Any], *args: Any) -> Any:
    """Call into what may be somebody else's code; what it raises is for its author, in one line."""
    try:
        return call(*args)
    except UserError:
        raise
    except FAULTS as error:
        what = getattr(args[0], "label", None) or getattr(call, "__qualname__", "plug-in")
        raise UserError(f"{what}: {reason(error)}") from error
