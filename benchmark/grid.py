"""The cells of a run: what each is, its key, and what it needs loaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from attacks.base import Attack
from attacks.threat import AttackSpec, ThreatModel
from benchmark import zoo
from benchmark.classifiers import Classifier
from benchmark.config import RunConfig
from benchmark.data import ImageDataset, Images
from benchmark.environment import describe
from benchmark.models import load_classifier, load_defense
from benchmark.registries import ATTACKS, CLASSIFIERS, DATASETS, DEFENSES
from defenses.base import Defense
from defenses.errors import UserError, unknown_name
from defenses.registry import Registry
from defenses.spec import Spec
from leaderboard.canonical import digest


@dataclass(frozen=True)
class Subject:
    """One defense on one dataset before one classifier, loaded; or why it could not be made."""

    spec: Spec
    defense: Defense | None
    failure: str | None
    identity: Mapping[str, Any]
    facts: Mapping[str, Any]
    draws: int


@dataclass(frozen=True)
class Cell:
    """One defense under one attack at one size (or on clean images, or timed): one result file."""

    identity: Mapping[str, Any]
    subject: Subject
    attack: Attack | None = None
    eps: float = 0.0

    @cached_property
    def key(self) -> str:
        """The digest of the identity."""
        return digest(self.identity)

    @property
    def kind(self) -> str:
        """``accuracy`` or ``latency``."""
        return str(self.identity["kind"])


@dataclass(frozen=True)
class Group:
    """The cells that share a dataset and a classifier, and so their adversarial images."""

    dataset: ImageDataset
    images: Images
    classifier: Classifier
    identity: Mapping[str, Any]
    """What the adversarial images depend on besides the attack: dataset, classifier, n, seed, batch plan."""
    subjects: Sequence[Subject]
    cells: Sequence[Cell]

    def attacks(self) -> dict[str, tuple[Attack, list[float]]]:
        """Return the attacks by label, each with the sizes that its cells ask for."""
        found: dict[str, tuple[Attack, list[float]]] = {}
        for cell in self.cells:
            if cell.attack is not None:
                sizes = found.setdefault(cell.attack.spec.label, (cell.attack, []))[1]
                if cell.eps not in sizes:
                    sizes.append(cell.eps)
        return found


@dataclass
class Plan:
    """Everything a run would do."""

    groups: list[Group] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def cells(self) -> list[Cell]:
        """All cells of all groups."""
        return [cell for group in self.groups for cell in group.cells]


def plan(config: RunConfig, device: torch.device, data_dir: Path | None, zoo_folder: Path | None) -> Plan:
    """Resolve every name, load every weight and image, and lay out the cells.

    Raises ``UserError`` for whatever cannot be had, before anything is computed or written.
    """
    folders = zoo.search_path(zoo_folder)
    found = Plan()
    defenses = _specs(DEFENSES, (*config.references, *config.defenses))
    attacks: list[Attack] = [_plug_in(ATTACKS.create, spec) for spec in _specs(ATTACKS, config.attacks)]
    classifiers = _specs(CLASSIFIERS, config.classifiers)
    datasets: list[ImageDataset] = [_plug_in(DATASETS.create, spec) for spec in _specs(DATASETS, config.datasets)]
    if not defenses:
        raise UserError("no defense to run: give --defenses, or references in the configuration")
    _check_tables(config)
    for dataset in datasets:
        sizes = {attack.spec.label: _sizes(attack, config, dataset, found.warnings) for attack in attacks}
        for spec in classifiers:
            classifier, weights = _plug_in(load_classifier, spec, dataset, device, folders)
            subjects = [_subject(s, dataset, classifier, weights, device, folders, config) for s in defenses]
            for n, judged in _by_images(subjects, config).items():
                images = _plug_in(dataset.judged, n, data_dir)
                shared = _shared_identity(dataset, classifier, weights, n, config)
                cells = [cell for subject in judged for cell in _cells(subject, shared, attacks, sizes)]
                if config.latency:
                    cells += [_latency_cell(subject, shared, device, config) for subject in judged]
                found.groups.append(Group(dataset, images, classifier, shared, judged, cells))
    return found


def _by_images(subjects: Sequence[Subject], config: RunConfig) -> dict[int, list[Subject]]:
    """Group subjects by the number of images that each is judged on."""
    found: dict[int, list[Subject]] = {}
    for subject in subjects:
        found.setdefault(config.of(subject.spec.name, "n"), []).append(subject)
    return found


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
        "stochastic": stochastic,
        "differentiable": bool(getattr(declared, "differentiable", True)),
        "training_knowledge": str(getattr(declared, "training_knowledge", "none")),
        "weights": _origin(weights),
        "classifier": _origin(classifier_weights),
    }
    draws = config.of(spec.name, "draws") if stochastic else 1
    return Subject(spec, defense, failure, identity(DEFENSES, spec, weights), facts, draws)


def _cells(
    subject: Subject, shared: Mapping[str, Any], attacks: Sequence[Attack], sizes: Mapping[str, Sequence[float]]
) -> list[Cell]:
    base = {"kind": "accuracy", **shared, "defense": subject.identity, "draws": subject.draws}
    cells = [Cell({**base, "attack": None}, subject)]
    for attack in attacks:
        for eps in sizes[attack.spec.label]:
            cells.append(Cell({**base, "attack": attack_identity(attack, eps)}, subject, attack, eps))
    return cells


def _latency_cell(subject: Subject, shared: Mapping[str, Any], device: torch.device, config: RunConfig) -> Cell:
    machine = describe(device)
    where = {name: machine[name] for name in ("device", "device_name", "threads")}
    places = {name: shared[name] for name in ("dataset", "classifier", "seed")}
    identity = {"kind": "latency", **places, "defense": subject.identity, "n": 0}
    batch = config.of(subject.spec.name, "latency_batch")
    return Cell({**identity, "batch": batch, "machine": where}, subject)


def attack_identity(attack: Attack, eps: float) -> dict[str, Any]:
    """Return what a cell's key holds of its attack."""
    described = AttackSpec(attack.spec, ThreatModel(attack.norm, eps)).describe()
    return {**described, "version": attack.version, "source": ATTACKS.source_digest(attack.spec.name)}


def _shared_identity(
    dataset: ImageDataset, classifier: Classifier, weights: zoo.Weights | None, n: int, config: RunConfig
) -> dict[str, Any]:
    return {
        "dataset": dataset_identity(dataset),
        "classifier": identity(CLASSIFIERS, classifier.spec, weights),
        "n": n,
        "seed": config.seed,
        "batch": {"attack": config.batch_size, "purify": config.batch_size},
    }


def dataset_identity(dataset: ImageDataset) -> dict[str, Any]:
    """Return what a key holds of a dataset."""
    source = DATASETS.source_digest(dataset.spec.name)
    return {"label": dataset.spec.label, "version": dataset.version, "source": source}


def identity(registry: Registry, spec: Spec, weights: zoo.Weights | None) -> dict[str, Any]:
    """Return what a key holds of a classifier or a defense."""
    return {
        "name": spec.name,
        "label": spec.label,
        "options": dict(spec.options),
        "version": getattr(registry.get(spec.name), "version", "1"),
        "source": registry.source_digest(spec.name),
        "weights": weights.sha256 if weights else None,
    }


def _origin(weights: zoo.Weights | None) -> dict[str, Any] | None:
    if weights is None:
        return None
    row = asdict(weights)
    return {name: row[name] for name in ("command", "seed", "epochs", "train_images", "validation", "date")}


def _sizes(attack: Attack, config: RunConfig, dataset: ImageDataset, warnings: list[str]) -> tuple[float, ...]:
    if attack.norm == "l2":
        if attack.bound is None:
            raise UserError(f"attack {attack.spec.label!r} of norm l2 states no bound")
        return (attack.bound,)
    sizes = config.sizes(dataset.spec.name, attack.spec.name, dataset.eps_grid)
    warnings += [text for text in map(attack.check, sizes) if text and text not in warnings]
    return sizes


def _specs(registry: Registry, texts: Sequence[str]) -> list[Spec]:
    """Read specs; what is named twice, or once by its defaults, is one."""
    return list({spec.label: spec for spec in map(registry.spec, texts)}.values())


def _check_tables(config: RunConfig) -> None:
    for defense in config.budget:
        if defense not in DEFENSES.names():
            raise unknown_name("defense in the budget table:", defense, DEFENSES.names())
    attacks = ["default", *ATTACKS.names()]
    for key in config.eps:
        dataset, dot, attack = key.rpartition(".")
        if dot and dataset not in DATASETS.names():
            raise unknown_name("dataset in the eps table:", dataset, DATASETS.names())
        if attack not in attacks:
            raise unknown_name("attack in the eps table:", attack, attacks)


def _plug_in(call: Callable[..., Any], *args: Any) -> Any:
    """Call into what may be somebody else's code; what it raises is for its author, in one line."""
    try:
        return call(*args)
    except UserError:
        raise
    except Exception as error:
        what = getattr(args[0], "label", None) or getattr(call, "__qualname__", "plug-in")
        raise UserError(f"{what}: {type(error).__name__}: {' '.join(str(error).split())}") from error
