"""Attacks that only query: they keep to their budget, and find what there is to find."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from attacks import guard
from attacks.views import Counted
from benchmark.registries import ATTACKS


class DecisionsOnly(nn.Module):
    """Logits that say no more than the class, and have no gradient."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    @torch.no_grad()
    def forward(self, x):
        return nn.functional.one_hot(self.model(x).argmax(dim=1), 10).float()


def attacked(name, model, x, y, eps=0.3):
    return guard.run(ATTACKS.create(name), model, x, y, [eps], [0])[0]


def accuracy(model, x, y):
    with torch.no_grad():
        return float((model(x).argmax(dim=1) == y).float().mean())


@pytest.mark.parametrize("name", ["square[queries=300]", "spsa[steps=15,samples=48]", "hopskipjump[queries=1500]"])
def test_it_breaks_an_undefended_classifier(name, mnist):
    images, classifier = mnist
    x, y = images.x[:24], images.y[:24]
    counted = Counted(classifier)
    x_adv = attacked(name, counted, x, y)
    assert accuracy(classifier, x_adv, y) <= 0.5
    assert counted.queries / len(x) <= 1.15 * ATTACKS.create(name).queries


def test_a_walk_along_the_boundary_needs_decisions_only(mnist):
    images, classifier = mnist
    x, y = images.x[:16], images.y[:16]
    left = accuracy(classifier, attacked("hopskipjump[queries=1500]", DecisionsOnly(classifier), x, y), y)
    assert left < 0.6


def test_a_walk_without_a_start_stays_where_it_is(mnist):
    images, classifier = mnist
    x, y = images.x[:4], torch.full((4,), 7)
    same = x[:1].repeat(4, 1, 1, 1)
    assert torch.equal(attacked("hopskipjump[queries=300]", classifier, same, y), same)
