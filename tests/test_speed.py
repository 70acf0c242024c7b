"""What the built-in defenses and attacks cost: ``pytest tests/test_speed.py --benchmark-enable`` prints the times."""

from __future__ import annotations

import pytest
import torch
from conftest import DOWNLOADED, SHORT, shipped_or_untrained

from purification_bench.attacks import guard
from purification_bench.benchmark.registries import ATTACKS, DATASETS, DEFENSES

CPU = torch.device("cpu")
BUILT_IN = [
    name for name, entry in DEFENSES.entries().items() if entry.provider == "built-in" and name not in DOWNLOADED
]


@pytest.mark.parametrize("name", BUILT_IN)
@pytest.mark.parametrize("batch", [1, 64])
def test_purify(name, batch, benchmark):
    if not benchmark.enabled:  # what is not timed need not be long
        name, batch = SHORT.get(name, name), min(batch, 4)
    defense, x = shipped_or_untrained(name), DATASETS.create("mnist").judged(batch).x
    with torch.no_grad():
        assert benchmark(defense.purify, x).shape == x.shape


@pytest.mark.parametrize("name", ["fgsm", "pgd[steps=5]"])
def test_attack(name, benchmark, mnist):
    images, classifier = mnist
    attack = ATTACKS.create(name)
    x, y = images.x[:64], images.y[:64]
    assert benchmark(guard.run, attack, classifier, x, y, [0.3], [0])[0].shape == x.shape
