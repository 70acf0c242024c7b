"""``bench train classifier|defense NAME[option=value,...]``."""

from __future__ import annotations

import argparse
from pathlib import Path

from purification_bench.benchmark.assets import zoo
from purification_bench.benchmark.assets.classifiers import Classifier
from purification_bench.benchmark.assets.data import ImageDataset
from purification_bench.benchmark.assets.loading import load_classifier
from purification_bench.benchmark.environment import pick_device
from purification_bench.benchmark.facts import of_classifier, of_dataset
from purification_bench.benchmark.paths import user_zoo
from purification_bench.benchmark.registries import CLASSIFIERS, DATASETS, DEFENSES
from purification_bench.benchmark.run.identity import dataset_identity, identity
from purification_bench.benchmark.train.settings import Settings
from purification_bench.benchmark.train.training import Job, train_classifier, train_defense
from purification_bench.benchmark.train.training_sets import Target
from purification_bench.defenses.base import Defense, is_trained, sees_classifier
from purification_bench.defenses.errors import UserError
from purification_bench.defenses.spec import Spec, split_list, split_spec
from purification_bench.leaderboard.results.canonical import digest

COUNTS = ("patience", "limit", "validation", "stop_after", "adversary_steps")
"""Flags that take a number of at least 1."""


def run(args: argparse.Namespace) -> int:
    """Train what ``args`` name; return the exit status."""
    registry = DEFENSES if args.kind == "defense" else CLASSIFIERS
    job = _job(args, registry.spec(args.name))
    if args.kind == "classifier":
        _check_adversary(args, job)
        weights = train_classifier(job)
    else:
        cls: type[Defense] = DEFENSES.get(job.spec.name)
        _check_trains(cls, args.name)
        if args.adversary_steps is not None:
            raise UserError(f"--adversary-steps is of a classifier's adversarial training, not of {args.name}")
        target = _target(args.classifier, job, args.zoo) if sees_classifier(cls) else None
        weights = train_defense(job, target)
    scores = ", ".join(f"{name} {value:.4f}" for name, value in weights.validation.items())
    print(f"{weights.path}: epoch {weights.epochs} kept, validation {scores}")
    return 0


def _job(args: argparse.Namespace, spec: Spec) -> Job:
    if args.kind == "classifier":
        if args.start_from is not None:
            raise UserError(f"--start-from is for defenses, and {args.name!r} is a classifier")
        recipe = CLASSIFIERS.get(spec.name).recipe
        settings = _settings(args, recipe.epochs, recipe.batch_size)
    else:
        settings = _settings(args, *_recipe(DEFENSES.get(spec.name)))
    dataset, device, folder = _dataset(args.dataset), pick_device(args.device), args.zoo or user_zoo()
    folder.mkdir(parents=True, exist_ok=True)
    return Job(spec, dataset, settings, device, args.data_dir, folder)


def _recipe(cls: type[Defense]) -> tuple[int, int]:
    """Return the epochs and the batch size that a defense declares; refuse what is no count."""
    for name in ("epochs", "batch_size"):
        value = getattr(cls, name)
        if type(value) is not int or value < 1:
            raise UserError(f"{cls.__name__} declares {name} = {value!r}: it must be a whole number, at least 1")
    return cls.epochs, cls.batch_size


def _dataset(text: str) -> ImageDataset:
    dataset: ImageDataset = DATASETS.create(text)
    if dataset.spec.label != dataset.spec.name:
        raise UserError(f"bench train takes a dataset as it is published: {dataset.spec.name}, not {text}")
    return dataset


def _check_trains(cls: type[Defense], text: str) -> None:
    """Refuse a defense that is not trained, and options that training does not depend on."""
    name, options = split_spec(text)
    if cls.weights_of:
        raise UserError(f"defense {name!r} uses the weights of {cls.weights_of!r}: train that")
    if not is_trained(cls):
        raise UserError(f"defense {name!r} is not trained: it has no fit")
    for option in sorted(set(options) & cls.inference_options):
        raise UserError(f"option {option!r} of {name!r} changes nothing in training: give it to bench run")


def _check_adversary(args: argparse.Namespace, job: Job) -> None:
    """Refuse steps of an adversary where training meets none."""
    if args.adversary_steps is None:
        return
    made: Classifier = CLASSIFIERS.create(job.spec, job.dataset.shape, job.dataset.num_classes)
    if not made.adversarial_eps:
        raise UserError(f"--adversary-steps is of adversarial training, and {args.name} is trained on clean images")


def _target(text: str, job: Job, folder: Path | None) -> Target:
    classifier, weights = load_classifier(CLASSIFIERS.spec(text), job.dataset, job.device, zoo.search_path(folder))
    return Target(
        classifier,
        weights.sha256 if weights else "",
        digest([dataset_identity(of_dataset(job.dataset.spec)), identity(of_classifier(classifier.spec), weights)]),
    )


def _settings(args: argparse.Namespace, epochs: int, batch_size: int) -> Settings:
    """Read the flags; ``epochs`` and ``batch_size`` where none are given."""
    counts = {name: getattr(args, name) for name in COUNTS}
    counts["epochs"] = epochs if args.epochs is None else args.epochs
    counts["batch_size"] = batch_size if args.batch_size is None else args.batch_size
    for name, value in counts.items():
        if value is not None and value < 1:
            raise UserError(f"--{name.replace('_', '-')} must be at least 1, not {value}")
    return Settings(
        **counts,
        seed=args.seed,
        precision=args.precision,
        snapshots=tuple(map(_epoch, split_list(args.snapshots))),
        storage=args.storage or "whole",
        start_from=args.start_from,
    )


def _epoch(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise UserError(f"--snapshots takes epochs, numbers from 1 on, not {text!r}")
    return int(text)
