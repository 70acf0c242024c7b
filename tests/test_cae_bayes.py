"""The Bayesian auto-encoder: its divergence against torch's distributions, its draws, its training."""

from __future__ import annotations

import pytest
import torch
from make_training import make_training
from torch.distributions import Normal, kl_divergence

from purification_bench.benchmark.registries import DEFENSES


def make(shape=(1, 28, 28), **options):
    torch.manual_seed(0)
    defense = DEFENSES.create(DEFENSES.spec("cae_bayes", **options))
    defense.build(shape, 10)
    return defense.eval()


def test_the_divergence_is_that_of_gaussians():
    defense, expected = make(prior=0.2), 0.0
    for part, network in (("encoder", defense.encoder), ("decoder", defense.decoder)):
        for mean, spread in zip(network.parameters(), defense.spread[part].parameters(), strict=True):
            deviation = torch.nn.functional.softplus(spread)
            expected += float(kl_divergence(Normal(mean, deviation), Normal(0.0, 0.2)).sum().detach())
    assert float(defense.divergence().detach()) == pytest.approx(expected, rel=1e-4)


@torch.no_grad()
def test_without_spread_it_is_the_auto_encoder_of_the_means(mnist):
    defense, x = make(), mnist[0].x[:4]
    for spread in defense.spread.parameters():
        spread.fill_(-100.0)
    assert torch.allclose(defense.purify(x), defense.decode(defense.encode(x)), atol=1e-6)


@torch.no_grad()
def test_weights_have_the_deviation_that_they_are_drawn_with():
    defense = make()
    drawn = torch.stack([defense._drawn("encoder", defense.encoder)["0.bias"] for _ in range(2000)])
    assert drawn.std(dim=0).mean() == pytest.approx(0.01, rel=0.05)
    assert torch.allclose(drawn.mean(dim=0), defense.encoder[0].bias, atol=0.002)


def test_training_rebuilds_better_and_finds_a_spread(shapes):
    defense = make(tuple(shapes[0].x.shape[1:]), eps=0.2)
    training, errors = make_training(shapes, epochs=15, batch_size=8), []
    report = training.report
    training.report = lambda score, **metrics: (errors.append(metrics["mse"]), report(score, **metrics))
    before = [value.clone() for value in defense.spread.parameters()]
    defense.fit(training)
    assert min(errors) < 0.8 * errors[0]
    assert any(not torch.equal(a, b) for a, b in zip(before, defense.spread.parameters(), strict=True))
