"""A training of seconds on generated images, for tests."""

from __future__ import annotations

import torch

from purification_bench.benchmark.assets.data import Images
from purification_bench.benchmark.train.training import Settings, Training
from purification_bench.benchmark.train.training_sets import Target


def make_training(shapes, epochs=3, batch_size=16, **more) -> Training:
    images, classifier = shapes
    data = {"train": images, "validation": Images(images.x[:20], images.y[:20])}
    settings = Settings(epochs, batch_size, **more)
    return Training("test", ["identity"], data, settings, torch.device("cpu"), Target(classifier, "weights", "key"))
