"""``bench train classifier|defense NAME``."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from purification_bench.benchmark.assets import zoo
from purification_bench.benchmark.assets.data import ImageDataset
from purification_bench.benchmark.assets.loading import load_classifier
from purification_bench.benchmark.assets.weight_files import Storage
from purification_bench.benchmark.environment import pick_device
from purification_bench.benchmark.paths import user_zoo
from purification_bench.benchmark.registries import CLASSIFIERS, DATASETS, DEFENSES
from purification_bench.benchmark.run.identity import dataset_identity, identity
from purification_bench.benchmark.train.training import Settings, train_classifier, train_defense
from purification_bench.benchmark.train.training_sets import Target
from purification_bench.defenses.base import is_trained, sees_classifier
from purification_bench.defenses.errors import UserError
from purification_bench.defenses.spec import split_list
from purification_bench.leaderboard.results.canonical import digest


def run(args: argparse.Namespace, extra: list[str]) -> int:
    """Train what ``args`` name; ``extra`` holds the defense's or classifier's own options. Return the exit status."""
    registry = DEFENSES if args.kind == "defense" else CLASSIFIERS
    options = _options(extra)
    spec = registry.spec(args.name, **options)
    _refuse_options_of_use(registry.get(spec.name), spec.name, options)
    dataset = DATASETS.create(args.dataset)
    if dataset.spec.label != dataset.spec.name:
        raise UserError(f"bench train takes a dataset as it is published: {dataset.spec.name}, not {args.dataset}")
    device = pick_device(args.device)
    folder = args.zoo or user_zoo()
    folder.mkdir(parents=True, exist_ok=True)
    settings = _settings(args, registry.get(spec.name))
    if args.kind == "classifier":
        if args.start_from is not None:
            raise UserError(f"--start-from is for defenses, and {args.name!r} is a classifier")
        weights = train_classifier(spec, dataset, settings, device, args.data_dir, folder)
    else:
        cls = DEFENSES.get(spec.name)
        if not is_trained(cls):
            raise UserError(f"defense {spec.name!r} is not trained: it has no fit")
        target = _target(args.classifier, dataset, device, args.zoo) if sees_classifier(cls) else None
        weights = train_defense(spec, dataset, target, settings, device, args.data_dir, folder)
    scores = ", ".join(f"{name} {value:.4f}" for name, value in weights.validation.items())
    print(f"{weights.path}: epoch {weights.epochs} kept, validation {scores}")
    return 0


def _refuse_options_of_use(cls: type, name: str, options: dict[str, str]) -> None:
    for option in sorted(set(options) & getattr(cls, "inference_options", frozenset())):
        raise UserError(f"option {option!r} of {name!r} changes nothing in training: give it to bench run")


def _target(text: str, dataset: ImageDataset, device: torch.device, folder: Path | None) -> Target:
    classifier, weights = load_classifier(CLASSIFIERS.spec(text), dataset, device, zoo.search_path(folder))
    return Target(
        classifier,
        weights.sha256 if weights else "",
        digest([dataset_identity(dataset), identity(CLASSIFIERS, classifier.spec, weights)]),
    )


def _settings(args: argparse.Namespace, cls: type) -> Settings:
    recipe = getattr(cls, "recipe", None)
    default_epochs, default_batch = (recipe.epochs, recipe.batch_size) if recipe else (30, 64)
    epochs = args.epochs if args.epochs is not None else default_epochs
    batch_size = args.batch_size if args.batch_size is not None else default_batch
    counts = {"--epochs": epochs, "--batch-size": batch_size, "--patience": args.patience}
    counts |= {"--limit": args.limit, "--validation": args.validation, "--stop-after": args.stop_after}
    for name, value in counts.items():
        if value is not None and value < 1:
            raise UserError(f"{name} must be at least 1, not {value}")
    snapshots = tuple(map(_epoch, split_list(args.snapshots)))
    storage: Storage = args.storage or "whole"
    return Settings(
        epochs, batch_size, args.seed, args.patience, args.limit, args.validation, args.precision, snapshots, storage,
        args.stop_after, args.start_from,
    )  # fmt: skip


def _epoch(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise UserError(f"--snapshots takes epochs, numbers from 1 on, not {text!r}")
    return int(text)


def _options(extra: list[str]) -> dict[str, str]:
    """Read ``--latent-dim 32 --noise=0.1`` as options."""
    options: dict[str, str] = {}
    words = iter(extra)
    for word in words:
        if not word.startswith("--"):
            raise UserError(f"unexpected argument {word!r}")
        key, equals, value = word[2:].partition("=")
        if not equals:
            value = next(words, "")
        if not value:
            raise UserError(f"option {word} needs a value")
        options[key.replace("-", "_")] = value
    return options
