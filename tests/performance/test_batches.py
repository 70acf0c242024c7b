"""How many images at once, and what a single one costs: batch sizes of a gradient; an auto-encoder at batch 1."""

from __future__ import annotations

from contextlib import contextmanager

import pytest
import torch

from purification_bench.attacks import guard
from purification_bench.benchmark.registries import ATTACKS

IMAGES = 500


@pytest.mark.benchmark(group="a gradient of 500 images, by batch")
@pytest.mark.parametrize("batch", [10, 50, 100, 250, 500])
def test_gradient(batch, loaded, measure):
    (x, y), attack = loaded.images(IMAGES), ATTACKS.create("fgsm")

    def attacked():
        parts = zip(x.split(batch), y.split(batch), strict=True)
        return torch.cat([guard.run(attack, loaded.classifier, *part, [0.3], [0])[0] for part in parts])

    measure(attacked, side=f"{batch} at once", n=IMAGES)


@contextmanager
def threads(count: int):
    """Give torch so many threads for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    yield
    torch.set_num_threads(before)


@pytest.mark.benchmark(group="an image through an auto-encoder, batch 1, in several ways")
@pytest.mark.parametrize("way", ["as it is", "one thread", "inference mode", "channels last", "all three"])
def test_auto_encoder(way, loaded, measure):
    defense, x = loaded.defense("cae"), loaded.images(1)[0]
    if way in ("channels last", "all three"):
        defense, x = (each.to(memory_format=torch.channels_last) for each in (defense, x))
    kept = torch.inference_mode() if way in ("inference mode", "all three") else torch.no_grad()
    count = 1 if way in ("one thread", "all three") else torch.get_num_threads()
    with kept, threads(count):
        measure(lambda: [defense.purify(x) for _ in range(100)], rounds=15, side=way, n=100)
