"""Planted adversarial examples: found where the gradient is true, and not where it is cut."""

from __future__ import annotations

import torch
from torch import nn

from purification_bench.attacks import planted_examples
from purification_bench.benchmark.registries import ATTACKS
from purification_bench.defenses.base import DefendedClassifier, Defense
from purification_bench.defenses.none import NoDefense


class Rounds(Defense):
    """Nearly the identity, without its gradient."""

    def purify(self, x):
        return (255 * x).round() / 255 + 0 * x


class Noise(Defense):
    """Drowns what is planted."""

    stochastic = True

    def purify(self, x):
        return torch.rand_like(x) + 0 * x


class Whisper(Defense):
    """Noise that leaves what is planted."""

    stochastic = True

    def purify(self, x):
        return (x + 0.01 * torch.randn_like(x)).clamp(0, 1)


class Flat(Defense):
    """Leaves nothing to plant in."""

    def purify(self, x):
        return 0 * x + 0.5


def found_before(defense, mnist, samples=1):
    images, classifier = mnist
    model = DefendedClassifier(classifier, defense).eval()
    last = planted_examples.last_layer(classifier)
    return planted_examples.search(ATTACKS.create("pgd"), model, last, images.x[:16], 0.3, 0, samples)


def test_the_true_gradient_finds_what_chance_does_not(mnist):
    found = found_before(NoDefense(), mnist)
    assert found["planted_images"] == 16
    assert found["planted_found_share"] > 0.9
    assert found["planted_by_chance_share"] < 0.1


def test_a_gradient_that_is_cut_finds_nothing(mnist):
    found = found_before(Rounds(), mnist)
    assert found["planted_images"] == 16
    assert found["planted_found_share"] < 0.1


def test_it_is_looked_for_in_expectation_where_the_defense_is_random(mnist):
    found = found_before(Whisper(), mnist, samples=3)
    assert found["planted_images"] >= 8
    assert found["planted_found_share"] > 0.9


def test_in_noise_few_keep_an_example(mnist):
    assert found_before(Noise(), mnist)["planted_images"] < 8


def test_what_makes_one_image_of_all_keeps_none(mnist):
    """A read-out could tell features that are the same but for rounding."""
    assert found_before(Flat(), mnist)["planted_images"] == 0


def test_the_last_layer_is_the_one_that_gives_the_logits():
    classifier = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    assert planted_examples.last_layer(classifier) is classifier[2]
    assert planted_examples.last_layer(nn.Flatten()) is None
