"""The four registries in one place, without importing torch."""

from __future__ import annotations

from attacks.registry import ATTACKS
from defenses.registry import DEFENSES, Registry

__all__ = ["ATTACKS", "CLASSIFIERS", "DATASETS", "DEFENSES", "REGISTRIES", "register_classifier", "register_dataset"]

CLASSIFIERS = Registry("classifier", "benchmark")
DATASETS = Registry("dataset", "benchmark")
register_classifier = CLASSIFIERS.register
register_dataset = DATASETS.register

REGISTRIES = {"defenses": DEFENSES, "attacks": ATTACKS, "classifiers": CLASSIFIERS, "datasets": DATASETS}
