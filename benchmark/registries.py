"""The four registries in one place, without importing torch."""

from __future__ import annotations

from purification_bench.attacks.registry import ATTACKS
from purification_bench.defenses.registry import DEFENSES, Registry

__all__ = ["ATTACKS", "CLASSIFIERS", "DATASETS", "DEFENSES", "REGISTRIES", "register_classifier", "register_dataset"]

CLASSIFIERS = Registry("classifier", "purification_bench.benchmark.assets")
DATASETS = Registry("dataset", "purification_bench.benchmark.assets")
register_classifier = CLASSIFIERS.register
register_dataset = DATASETS.register

REGISTRIES = {"defenses": DEFENSES, "attacks": ATTACKS, "classifiers": CLASSIFIERS, "datasets": DATASETS}
