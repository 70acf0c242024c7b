"""Weights in the zoo for a classifier or a defense: found by what those say of themselves, without making them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from purification_bench.benchmark.assets import zoo
from purification_bench.benchmark.facts import ClassifierFacts, DefenseFacts
from purification_bench.defenses.spec import Spec


def find_classifier(classifier: ClassifierFacts, dataset: str, folders: Sequence[Path]) -> zoo.Weights | None:
    """Return the entry of a classifier's weights; None where it needs none."""
    return zoo.find(folders, "classifier", classifier.spec, dataset, None) if classifier.trained else None


def find_defense(defense: DefenseFacts, dataset: str, classifier: Spec, folders: Sequence[Path]) -> zoo.Weights | None:
    """Return the entry of a defense's weights; None where it is not trained."""
    if not defense.trained:
        return None
    target = classifier.label if defense.sees_classifier else None
    try:
        return zoo.find(folders, "defense", defense.training, dataset, target)
    except zoo.MissingWeightsError as error:
        if defense.training.name == defense.spec.name:
            raise
        borrows = f"{defense.spec.name!r} uses the weights of {defense.training.name!r}"
        raise zoo.MissingWeightsError(f"{borrows}: {error}") from error
