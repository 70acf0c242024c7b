"""Registered classifiers and defenses, made, given their weights, and put on a device."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from purification_bench.benchmark.assets import zoo
from purification_bench.benchmark.assets.classifiers import Classifier
from purification_bench.benchmark.assets.data import ImageDataset
from purification_bench.benchmark.registries import CLASSIFIERS, DEFENSES
from purification_bench.defenses.base import Defense, is_trained, sees_classifier
from purification_bench.defenses.spec import Spec, label_of


def load_classifier(
    spec: Spec, dataset: ImageDataset, device: torch.device, folders: Sequence[Path]
) -> tuple[Classifier, zoo.Weights | None]:
    """Return a classifier in eval mode on ``device``, with its weights' entry where it has weights."""
    classifier: Classifier = CLASSIFIERS.create(spec, dataset.shape, dataset.num_classes)
    weights = find_classifier(spec, dataset.spec.name, folders)
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
    weights = find_defense(spec, dataset.spec.name, classifier, folders)
    if weights:
        zoo.load_into(defense, weights)
    return defense.to(device).eval(), weights


def find_classifier(spec: Spec, dataset: str, folders: Sequence[Path]) -> zoo.Weights | None:
    """Return the entry of a classifier's weights; None where the class needs none."""
    if not CLASSIFIERS.get(spec.name).trained:
        return None
    return zoo.find(folders, "classifier", spec, dataset, None)


def find_defense(spec: Spec, dataset: str, classifier: Spec, folders: Sequence[Path]) -> zoo.Weights | None:
    """Return the entry of a defense's weights; None where the class has no ``fit``."""
    cls = DEFENSES.get(spec.name)
    if not is_trained(cls):
        return None
    target = classifier.label if sees_classifier(cls) else None
    return zoo.find(folders, "defense", training_spec(spec), dataset, target)


def training_spec(spec: Spec) -> Spec:
    """Return what of a defense's options its training depends on."""
    cls: type[Defense] = DEFENSES.get(spec.name)
    options = {name: value for name, value in spec.options.items() if name not in cls.inference_options}
    return Spec(spec.name, options, label_of(spec.name, options, cls, cls.shown_options))
