"""A training of seconds on generated images, for tests."""

from __future__ import annotations

import torch

from purification_bench.benchmark.assets.data import Images
from purification_bench.benchmark.paths import cache_dir
from purification_bench.benchmark.train.context import Training
from purification_bench.benchmark.train.settings import Settings
from purification_bench.benchmark.train.training_sets import Target


def make_training(shapes, epochs=3, batch_size=16, **more) -> Training:
    images, classifier = shapes
    data = {"train": images, "validation": Images(images.x[:20], images.y[:20])}
    settings = Settings(epochs, batch_size, **more)
    target = Target(classifier, "weights", "key")
    return Training(cache_dir() / "training" / "test", data, settings, torch.device("cpu"), target)
