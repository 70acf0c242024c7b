"""Registered classifiers and defenses, made, given their weights, and put on a device."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from purification_bench.benchmark.assets import zoo
from purification_bench.benchmark.assets.classifiers import Classifier
from purification_bench.benchmark.assets.data import ImageDataset
from purification_bench.benchmark.assets.finding import find_classifier, find_defense
from purification_bench.benchmark.facts import of_classifier, of_defense
from purification_bench.benchmark.registries import CLASSIFIERS, DEFENSES
from purification_bench.defenses.base import Defense
from purification_bench.defenses.spec import Spec


def load_classifier(
    spec: Spec, dataset: ImageDataset, device: torch.device, folders: Sequence[Path]
) -> tuple[Classifier, zoo.Weights | None]:
    """Return a classifier in eval mode on ``device``, with its weights' entry where it has weights."""
    classifier: Classifier = CLASSIFIERS.create(spec, dataset.shape, dataset.num_classes)
    weights = find_classifier(of_classifier(spec), dataset.spec.name, folders)
    if weights:
        zoo.load_into(classifier, weights)
    # channels_last halves the time of a gradient on the CPU.
    classifier.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return classifier.eval(), weights


def load_defense(
    spec: Spec, dataset: ImageDataset, classifier: Spec, device: torch.device, folders: Sequence[Path]
) -> tuple[Defense, zoo.Weights | None]:
    """Return a defense in eval mode on ``device``, with its weights' entry where it is trained."""
    defense: Defense = DEFENSES.create(spec)
    defense.build(dataset.shape, dataset.num_classes)
    weights = find_defense(of_defense(spec), dataset.spec.name, classifier, folders)
    if weights:
        zoo.load_into(defense, weights)
    return defense.to(device).eval(), weights
