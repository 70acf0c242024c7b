"""Attacks that only query: they keep to their budget, and find what there is to find."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from purification_bench.attacks import guard
from purification_bench.attacks.queried import Counted
from purification_bench.benchmark.registries import ATTACKS
from purification_bench.defenses.base import DefendedClassifier, Defense
from purification_bench.defenses.errors import UserError


class DecisionsOnly(nn.Module):
    """Logits that say no more than the class, and have no gradient."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    @torch.no_grad()
    def forward(self, x):
        return nn.functional.one_hot(self.model(x).argmax(dim=1), 10).float()


class Noise(Defense):
    stochastic = True

    def purify(self, x):
        return (x + 0.25 * torch.randn_like(x)).clamp(0, 1)


def attacked(name, model, x, y, eps=0.3):
    return guard.run(ATTACKS.create(name), model, x, y, [eps], [0])[0]


def accuracy(model, x, y):
    with torch.no_grad():
        return float((model(x).argmax(dim=1) == y).float().mean())


@pytest.mark.parametrize(
    "name",
    ["square[queries=300]", "spsa[steps=15,samples=48]", "hopskipjump[queries=1500]", "rays[queries=600,starts=2]"],
)
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


def test_rays_need_decisions_only_and_more_starts_find_more(mnist):
    images, classifier = mnist
    x, y = images.x[:40], images.y[:40]
    model = DecisionsOnly(classifier)
    left = [accuracy(model, attacked(f"rays[queries={500 * k},starts={k}]", model, x, y, 0.25), y) for k in (1, 3)]
    assert left[1] <= left[0] < 0.8


def test_rays_find_the_boundary_where_it_lies():
    """Two classes, told apart by the sign of a sum of weighted pixels: the nearest way in Linf is the weights' sign."""
    weights = torch.linspace(-1, 1, 16).view(1, 1, 4, 4)

    class Halves(nn.Module):
        def forward(self, x):
            score = (weights * (x - 0.5)).flatten(1).sum(dim=1)
            return torch.stack([-score, score], dim=1)

    torch.manual_seed(0)
    x = 0.5 + 0.1 * torch.randn(12, 1, 4, 4)
    y = Halves()(x).argmax(dim=1)
    least = (weights * (x - 0.5)).flatten(1).sum(dim=1).abs() / weights.abs().sum()
    for eps, broken in ((float(least.max()) * 1.05, 1.0), (float(least.min()) * 0.95, 0.0)):
        x_adv = attacked("rays[queries=800,starts=1]", Halves(), x, y, eps)
        assert accuracy(Halves(), x_adv, y) == 1 - broken


def test_of_a_random_model_rays_end_at_the_edge_of_the_ball(mnist):
    images, classifier = mnist
    x, y = images.x[:8], images.y[:8]
    x_adv = attacked("rays[queries=100,starts=1]", DefendedClassifier(classifier, Noise()), x, y)
    moved = (x_adv - x).flatten(1).abs().amax(dim=1)
    assert bool((torch.isclose(moved, torch.tensor(0.3)) | (moved == 0)).all())
    assert int((moved > 0).sum()) >= 6


def test_rays_need_queries_for_each_start():
    with pytest.raises(UserError, match="rays needs 11 queries for each start, not 40 for 4"):
        ATTACKS.create("rays[queries=40]")


def test_a_walk_without_a_start_stays_where_it_is(mnist):
    images, classifier = mnist
    x, y = images.x[:4], torch.full((4,), 7)
    same = x[:1].repeat(4, 1, 1, 1)
    assert torch.equal(attacked("hopskipjump[queries=300]", classifier, same, y), same)


def test_of_a_random_model_square_takes_no_answer_for_success(mnist):
    """One wrong draw is no success: the search goes on to the end of its budget, and finds what fresh draws confirm."""
    images, classifier = mnist
    x, y = images.x[:24], images.y[:24]
    counted = Counted(DefendedClassifier(classifier, Noise()))
    x_adv = attacked("square[queries=200]", counted, x, y)
    assert counted.queries >= 200 * len(x)
    fresh = sum(accuracy(counted, x_adv, y) for _ in range(5)) / 5
    clean = sum(accuracy(counted, x, y) for _ in range(5)) / 5
    assert fresh < clean - 0.3


def test_of_a_random_model_the_walk_ends_at_the_edge_of_the_ball(mnist):
    """The nearest point on one draw's boundary is a coin flip under another's."""
    images, classifier = mnist
    x, y = images.x[:8], images.y[:8]
    x_adv = attacked("hopskipjump[queries=300]", DefendedClassifier(classifier, Noise()), x, y)
    moved = (x_adv - x).flatten(1).abs().amax(dim=1)
    assert bool((torch.isclose(moved, torch.tensor(0.3)) | (moved == 0)).all())
    assert int((moved > 0).sum()) >= 6
