"""Laying out a run: names resolved, weights and images loaded, every cell known before the first is computed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from purification_bench.attacks.base import Attack
from purification_bench.attacks.protocol import PROTOCOLS, STANDARD, Protocol
from purification_bench.attacks.threat import THREATS, AttackSpec, ThreatModel
from purification_bench.benchmark.assets import zoo
from purification_bench.benchmark.assets.classifiers import AlwaysTraining, Classifier
from purification_bench.benchmark.assets.data import ImageDataset
from purification_bench.benchmark.assets.loading import load_classifier, load_defense
from purification_bench.benchmark.environment import describe
from purification_bench.benchmark.registries import ATTACKS, CLASSIFIERS, DATASETS, DEFENSES
from purification_bench.benchmark.run.cells import Cell, Group, Plan, Subject
from purification_bench.benchmark.run.config import RunConfig
from purification_bench.benchmark.run.identity import attack_identity, dataset_identity, identity, origin
from purification_bench.benchmark.run.override_tables import check_names
from purification_bench.defenses.base import Defense, decodes, relaxes
from purification_bench.defenses.errors import UserError, unknown_name
from purification_bench.defenses.registry import Registry
from purification_bench.defenses.spec import Spec


def plan(config: RunConfig, device: torch.device, data_dir: Path | None, zoo_folder: Path | None) -> Plan:
    """Resolve every name, load every weight and image, and lay out the cells.

    Raises ``UserError`` for whatever cannot be had, before anything is computed or written.
    """
    folders = zoo.search_path(zoo_folder)
    found = Plan()
    defenses = _specs(DEFENSES, (*config.references, *config.defenses))
    attacks = _Attacks(config)
    classifiers = _specs(CLASSIFIERS, config.classifiers)
    protocol = _protocol(config)
    resized = {spec.label: spec for spec in (_resized(spec, protocol) for spec in _specs(DATASETS, config.datasets))}
    datasets = [_plug_in(DATASETS.create, spec) for spec in resized.values()]
    if not defenses:
        raise UserError("no defense to run: give --defenses, or references in the configuration")
    check_names(config.overrides)
    for dataset in datasets:
        for spec in classifiers:
            classifier, weights = _plug_in(load_classifier, spec, dataset, device, folders)
            if not protocol.eval_mode:
                classifier = AlwaysTraining(classifier)
            subjects = [_subject(s, dataset, classifier, weights, device, folders, config) for s in defenses]
            site = _Site(dataset, classifier, config, device, folders, found.warnings)
            asked = [(subject, threat) for threat in config.threats for subject in subjects]
            for n, pairs in _by_images(asked, config).items():
                images = _plug_in(dataset.judged, n, data_dir)
                shared = _shared_identity(dataset, classifier, weights, n, config)
                judged = list({subject.spec.label: subject for subject, _ in pairs}.values())
                cells = [_clean_cell(subject, shared) for subject in judged]
                for subject, threat in pairs:
                    cells += site.cells(subject, threat, attacks.on(subject, threat), shared)
                timing = config.latency and config.protocol == STANDARD
                timed = [s for s in judged if n == _most_images(config, s)] if timing else []
                cells += [_latency_cell(subject, shared, device, config) for subject in timed]
                found.groups.append(Group(dataset, images, classifier, shared, judged, cells, protocol))
    return found


def submitted(group: Group, attack: Attack, eps: float) -> Group:
    """Return a group whose defenses are judged on clean images and on somebody's adversarial ones."""
    cells = [cell for cell in group.cells if cell.kind == "accuracy" and cell.attack is None]
    spec = AttackSpec(attack.spec, ThreatModel(attack.norm, eps, "whitebox"), "submitted")
    for subject in group.subjects:
        identity = {**_accuracy_identity(subject, group.identity), "attack": attack_identity(attack, spec)}
        cells.append(Cell(identity, subject, attack, spec))
    return replace(group, cells=cells)


def _most_images(config: RunConfig, subject: Subject) -> int:
    """Return the largest number of images that a defense is judged on: it is timed once, among them."""
    return max(config.n_of(subject.spec.name, threat) for threat in config.threats)


def _by_images(asked: Sequence[tuple[Subject, str]], config: RunConfig) -> dict[int, list[tuple[Subject, str]]]:
    """Group subjects and threats by the number of images that each is judged on."""
    found: dict[int, list[tuple[Subject, str]]] = {}
    for subject, threat in asked:
        found.setdefault(config.n_of(subject.spec.name, threat), []).append((subject, threat))
    return found


@dataclass(frozen=True)
class _Site:
    """Where cells are laid out: one dataset, one classifier."""

    dataset: ImageDataset
    classifier: Classifier
    config: RunConfig
    device: torch.device
    folders: Sequence[Path]
    warnings: list[str]

    def cells(
        self, subject: Subject, threat: str, attacks: Sequence[Attack], shared: Mapping[str, Any]
    ) -> Iterator[Cell]:
        """Yield a defense's cells under one threat; none where the threat does not fit it."""
        unfit = _unfit(subject, threat)
        if unfit:
            if threat == "whitebox" and subject.spec.name not in self._references:
                self._warn(f"{subject.spec.label} is judged without whitebox: {unfit}")
            return
        if not any(attack.needs in NEEDS_MET[threat] for attack in attacks):
            wanted = " or ".join(sorted(NEEDS_MET[threat]))
            mend = f"name one in an [[override]] of {threat}"
            self._warn(f"nothing runs under {threat}: no attack takes its {wanted}; {mend}")
            return
        stand_in, stand_in_label = self._stand_in(subject, threat)
        substitute, known = self._substitute if threat == "transfer" else (None, None)
        if threat == "transfer" and substitute is None:
            return
        knows = THREATS[threat]
        averaged = knows.estimator not in ("bare", "transfer", "frozen") and subject.facts["stochastic"]
        for attack in attacks:
            if attack.leaves_box and PROTOCOLS[self.config.protocol].box:
                free = ", ".join(name for name, protocol in PROTOCOLS.items() if not protocol.box)
                raise UserError(f"attack {attack.spec.label!r} leaves the box [0, 1]: it needs --protocol {free}")
            if attack.needs not in NEEDS_MET[threat] or (threat in ("graybox", "transfer") and not attack.transfers):
                continue
            draws = averaged and attack.needs in ("gradient", "queries")
            samples = self.config.eot_samples_of(subject.spec.name, threat) if draws else 1
            for eps in self._sizes(attack, threat):
                model = ThreatModel(attack.norm, eps, knows.knowledge)
                spec = AttackSpec(attack.spec, model, knows.estimator, samples, known, stand_in_label)
                identity = {**_accuracy_identity(subject, shared), "attack": attack_identity(attack, spec)}
                if samples > 1:  # copies and images together fill the batch
                    plan = {**shared["batch"], "attack": max(1, shared["batch"]["attack"] // samples)}
                    identity["batch"] = plan
                yield Cell(identity, subject, attack, spec, stand_in, substitute)

    @property
    def _references(self) -> set[str]:
        """Names of the rows that run in every table: what does not fit them is no news."""
        return {text.partition("[")[0] for text in self.config.references}

    @cached_property
    def _substitute(self) -> tuple[Classifier | None, dict[str, Any] | None]:
        """The classifier that is attacked under ``transfer``, and its identity; a warning where it has no weights."""
        spec = CLASSIFIERS.spec(self.config.substitute)
        try:
            made, weights = load_classifier(spec, self.dataset, self.device, self.folders)
        except UserError as error:
            self._warn(f"{self.dataset.spec.label} is judged without transfer: {error}")
            return None, None
        return made, identity(CLASSIFIERS, spec, weights)

    def _stand_in(self, subject: Subject, threat: str) -> tuple[Defense | None, str | None]:
        """Return what is attacked in a defense's place, and its name; none where it is attacked as it is."""
        options = self.config.stand_in_of(subject.spec.name, threat)
        estimator = THREATS[threat].estimator
        if estimator in ("bare", "transfer", "queries") or not options:
            return None, None
        of_use: frozenset[str] = getattr(DEFENSES.get(subject.spec.name), "inference_options", frozenset())
        for option in sorted(set(options) - of_use):
            raise UserError(
                f"a stand-in has the defense's own weights: option {option!r} of {subject.spec.name!r} asks "
                f"for others. Options of use: {', '.join(sorted(of_use)) or 'none'}"
            )
        spec = DEFENSES.spec(subject.spec.name, **{**subject.spec.options, **options})
        if spec.label == subject.spec.label:
            return None, None
        defense, _ = load_defense(spec, self.dataset, self.classifier.spec, self.device, self.folders)
        return defense, spec.label

    def _sizes(self, attack: Attack, threat: str) -> tuple[float, ...]:
        if attack.norm == "l2":
            if attack.bound is None:
                raise UserError(f"attack {attack.spec.label!r} of norm l2 states no bound")
            return (attack.bound,)
        place = (self.dataset.spec.name, attack.spec.name, threat)
        sizes = self.config.sizes(*place, self.dataset.eps_grid, self.dataset.eps)
        for text in map(attack.check, sizes):
            if text:
                self._warn(text)
        return sizes

    def _warn(self, text: str) -> None:
        if text not in self.warnings:
            self.warnings.append(text)


NEEDS_MET: Mapping[str, frozenset[str]] = {
    "graybox": frozenset({"gradient", "nothing"}),
    "blackbox": frozenset({"queries"}),
    "latent": frozenset({"decoder"}),
    "whitebox": frozenset({"gradient", "defense"}),
    **dict.fromkeys(("transfer", "bpda", "soft", "fixed-seed"), frozenset({"gradient"})),
}
"""What each threat gives an attack."""


def _unfit(subject: Subject, threat: str) -> str | None:
    """Say why a threat has nothing to attack in a defense; None where it has."""
    defense = subject.defense
    if threat in ("whitebox", "fixed-seed", "soft") and not subject.facts["differentiable"]:
        return "it declares that it is not differentiable"
    if threat == "soft" and not relaxes(defense):
        return "it has no relaxation"
    if threat == "latent" and not decodes(defense):
        return "it decodes no latent code"
    if threat == "fixed-seed" and not subject.facts["stochastic"]:
        return "it is deterministic"
    return None


def _subject(
    spec: Spec, dataset: ImageDataset, classifier: Classifier, classifier_weights: zoo.Weights | None,
    device: torch.device, folders: Sequence[Path], config: RunConfig,
) -> Subject:  # fmt: skip
    defense, weights, failure = None, None, None
    try:
        defense, weights = load_defense(spec, dataset, classifier.spec, device, folders)
    except UserError:
        raise
    except Exception as error:
        failure = f"{type(error).__name__} while it was made: {error}"
    declared = defense if defense is not None else DEFENSES.get(spec.name)
    stochastic = bool(getattr(declared, "stochastic", False))
    facts = {
        "eps_mark": dataset.eps,
        "num_classes": dataset.num_classes,
        "adversarial_eps": classifier.adversarial_eps,
        "stochastic": stochastic,
        "differentiable": bool(getattr(declared, "differentiable", True)),
        "relaxes": relaxes(declared),
        "training_knowledge": str(getattr(declared, "training_knowledge", "none")),
        "weights": origin(weights),
        "classifier": origin(classifier_weights),
    }
    draws = config.draws_of(spec.name) if stochastic else 1
    return Subject(spec, defense, failure, identity(DEFENSES, spec, weights), facts, draws)


def _accuracy_identity(subject: Subject, shared: Mapping[str, Any]) -> dict[str, Any]:
    return {"kind": "accuracy", **shared, "defense": subject.identity, "draws": subject.draws}


def _clean_cell(subject: Subject, shared: Mapping[str, Any]) -> Cell:
    return Cell({**_accuracy_identity(subject, shared), "attack": None}, subject)


def _latency_cell(subject: Subject, shared: Mapping[str, Any], device: torch.device, config: RunConfig) -> Cell:
    machine = describe(device)
    where = {name: machine[name] for name in ("device", "device_name", "threads")}
    places = {name: shared[name] for name in ("dataset", "classifier", "seed")}
    identity = {"kind": "latency", **places, "defense": subject.identity, "n": 0}
    batch = config.latency_batch_of(subject.spec.name)
    return Cell({**identity, "batch": batch, "machine": where}, subject)


def _shared_identity(
    dataset: ImageDataset, classifier: Classifier, weights: zoo.Weights | None, n: int, config: RunConfig
) -> dict[str, Any]:
    own = {"protocol": config.protocol} if config.protocol != STANDARD else {}
    return {
        **own,
        "dataset": dataset_identity(dataset),
        "classifier": identity(CLASSIFIERS, classifier.spec, weights),
        "n": n,
        "seed": config.seed,
        "batch": {"attack": config.batch_size, "purify": config.batch_size},
    }


class _Attacks:
    """The attacks of a run, each list made once, so that cells of one attack share its object."""

    def __init__(self, config: RunConfig) -> None:
        self.config = config
        self.made: dict[tuple[str, ...], list[Attack]] = {}

    def on(self, subject: Subject, threat: str) -> list[Attack]:
        """Return the attacks on a defense under a threat."""
        return self._of(self.config.attacks_of(subject.spec.name, threat))

    def _of(self, texts: tuple[str, ...]) -> list[Attack]:
        if texts not in self.made:
            self.made[texts] = [_plug_in(ATTACKS.create, spec) for spec in _specs(ATTACKS, texts)]
        return self.made[texts]


def _specs(registry: Registry, texts: Sequence[str]) -> list[Spec]:
    """Read specs; what is named twice, or once by its defaults, is one."""
    return list({spec.label: spec for spec in map(registry.spec, texts)}.values())


def _protocol(config: RunConfig) -> Protocol:
    if config.protocol not in PROTOCOLS:
        raise unknown_name("protocol", config.protocol, PROTOCOLS)
    if config.protocol != STANDARD and config.threats != ("graybox",):
        raise UserError(f"protocol {config.protocol!r} knows gray-box attacks only: give --threat graybox")
    return PROTOCOLS[config.protocol]


def _resized(spec: Spec, protocol: Protocol) -> Spec:
    """Return a dataset in the pixels of the protocol."""
    if protocol.pixels is None:
        return spec
    if spec.options.get("pixels") not in (None, protocol.pixels):
        raise UserError(f"the protocol has images of {protocol.pixels} pixels a side: {spec.label} asks for others")
    return DATASETS.spec(spec.name, **{**spec.options, "pixels": protocol.pixels})


def _plug_in(call: Callable[..., Any], *args: Any) -> Any:
    """Call into what may be somebody else's code; what it raises is for its author, in one line."""
    try:
        return call(*args)
    except UserError:
        raise
    except Exception as error:
        what = getattr(args[0], "label", None) or getattr(call, "__qualname__", "plug-in")
        raise UserError(f"{what}: {type(error).__name__}: {' '.join(str(error).split())}") from error
