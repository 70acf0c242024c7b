"""What the shipped defenses and attacks cost: ``pytest tests/test_speed.py --benchmark-enable`` prints the times."""

from __future__ import annotations

import pytest
import torch

from attacks import guard
from benchmark.models import load_defense
from benchmark.paths import SHIPPED_ZOO
from benchmark.registries import ATTACKS, CLASSIFIERS, DATASETS, DEFENSES

CPU = torch.device("cpu")
UNTRAINED = {"cae_multi"}
"""Defenses whose weights do not ship."""
BUILT_IN = [n for n, entry in DEFENSES.entries().items() if entry.origin == "built-in" and n not in UNTRAINED]


@pytest.mark.parametrize("name", BUILT_IN)
@pytest.mark.parametrize("batch", [1, 64])
def test_purify(name, batch, benchmark):
    dataset = DATASETS.create("mnist")
    defense, _ = load_defense(DEFENSES.spec(name), dataset, CLASSIFIERS.spec("model_a"), CPU, [SHIPPED_ZOO])
    x = dataset.judged(batch).x
    with torch.no_grad():
        assert benchmark(defense.purify, x).shape == x.shape


@pytest.mark.parametrize("name", ["fgsm", "pgd[steps=5]"])
def test_attack(name, benchmark, mnist):
    images, classifier = mnist
    attack = ATTACKS.create(name)
    x, y = images.x[:64], images.y[:64]
    assert benchmark(guard.run, attack, classifier, x, y, [0.3], [0])[0].shape == x.shape
