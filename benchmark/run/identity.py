"""What keys hold of data sets, models and attacks: everything that their numbers depend on."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from purification_bench.attacks.threat import PlannedAttack
from purification_bench.benchmark.assets.zoo import Weights
from purification_bench.benchmark.facts import ClassifierFacts, DatasetFacts, DefenseFacts, of_attack
from purification_bench.benchmark.registries import ATTACKS


def attack_identity(planned: PlannedAttack) -> dict[str, Any]:
    """Return what a cell's key holds of its attack."""
    if planned.attack.name not in ATTACKS.names():  # somebody else's images, whose digest is an option of theirs
        return {**planned.describe(), "version": "1", "source": None}
    attack = of_attack(planned.attack)
    return {**planned.describe(), "version": attack.version, "source": attack.source}


def dataset_identity(dataset: DatasetFacts) -> dict[str, Any]:
    """Return what a key holds of a data set."""
    return {"label": dataset.spec.label, "version": dataset.version, "source": dataset.source}


def identity(model: ClassifierFacts | DefenseFacts, weights: Weights | None) -> dict[str, Any]:
    """Return what a key holds of a classifier or a defense."""
    unset = {name for name in getattr(model, "later_options", ()) if model.spec.options.get(name) is None}
    return {
        "name": model.spec.name,
        "label": model.spec.label,
        "options": {name: value for name, value in model.spec.options.items() if name not in unset},
        "version": model.version,
        "source": model.source,
        "weights": weights.sha256 if weights else None,
    }


def training_of(weights: Weights | None) -> dict[str, Any] | None:
    """Return what a reader wants to know of weights: how they were trained, and what came out."""
    if weights is None:
        return None
    row = asdict(weights)
    return {name: row[name] for name in ("command", "seed", "epochs", "train_images", "validation", "date")}
