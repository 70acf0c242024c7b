"""What keys hold of data sets, models and attacks: everything that their numbers depend on."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from purification_bench.attacks.base import Attack
from purification_bench.attacks.threat import PlannedAttack
from purification_bench.benchmark.assets.data import ImageDataset
from purification_bench.benchmark.assets.zoo import Weights
from purification_bench.benchmark.registries import ATTACKS, DATASETS
from purification_bench.defenses.registry import Registry
from purification_bench.defenses.spec import Spec


def attack_identity(planned: PlannedAttack) -> dict[str, Any]:
    """Return what a cell's key holds of its attack."""
    name = planned.attack.name
    if name not in ATTACKS.names():  # somebody else's images, whose digest is an option of theirs
        return {**planned.describe(), "version": Attack.version, "source": None}
    return {**planned.describe(), "version": ATTACKS.get(name).version, "source": ATTACKS.source_digest(name)}


def dataset_identity(dataset: ImageDataset) -> dict[str, Any]:
    """Return what a key holds of a data set."""
    source = DATASETS.source_digest(dataset.spec.name)
    return {"label": dataset.spec.label, "version": dataset.version, "source": source}


def identity(registry: Registry, spec: Spec, weights: Weights | None) -> dict[str, Any]:
    """Return what a key holds of a classifier or a defense."""
    return {
        "name": spec.name,
        "label": spec.label,
        "options": dict(spec.options),
        "version": getattr(registry.get(spec.name), "version", "1"),
        "source": registry.source_digest(spec.name),
        "weights": weights.sha256 if weights else None,
    }


def training_of(weights: Weights | None) -> dict[str, Any] | None:
    """Return what a reader wants to know of weights: how they were trained, and what came out."""
    if weights is None:
        return None
    row = asdict(weights)
    return {name: row[name] for name in ("command", "seed", "epochs", "train_images", "validation", "date")}
