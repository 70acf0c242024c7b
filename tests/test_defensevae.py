"""Defense-VAE: its loss against torch's distributions, what training meets, and what comes of it."""

from __future__ import annotations

import pytest
import torch
from make_training import make_training
from torch.distributions import Bernoulli, Normal, kl_divergence

from purification_bench.benchmark.registries import DEFENSES
from purification_bench.defenses import defensevae


def make(shape=(1, 28, 28), **options):
    torch.manual_seed(0)
    defense = DEFENSES.create(DEFENSES.spec("defensevae", **options))
    defense.build(shape, 10)
    return defense.eval()


def test_the_loss_is_the_evidence_bound():
    x, logits = torch.rand(3, 1, 28, 28).round(), torch.randn(3, 1, 28, 28)
    mean, log_variance = torch.randn(3, 128), torch.randn(3, 128)
    likelihood = Bernoulli(logits=logits).log_prob(x).sum()
    divergence = kl_divergence(Normal(mean, (log_variance / 2).exp()), Normal(0.0, 1.0)).sum()
    ours = make(divergence=0.5).loss(logits, x, mean, log_variance)
    assert float(ours) == pytest.approx(float(-likelihood + 0.5 * divergence) / 3, rel=1e-4)


def test_it_purifies_by_the_mean_of_the_code_and_draws_nothing(mnist):
    defense, x = make(), mnist[0].x[:4]
    with torch.no_grad():
        assert torch.equal(defense.purify(x), defense.purify(x))
        assert torch.equal(defense.purify(x), defense.decode(defense.encode(x)))


def test_training_meets_every_attack_and_gives_clean_images_back(shapes, monkeypatch):
    monkeypatch.setattr(defensevae, "SEEN", (("fgsm", 0.2), ("noise", 0.3)))
    training, defense = make_training(shapes, epochs=8, batch_size=8), make(tuple(shapes[0].x.shape[1:]))
    reports, report = [], training.report
    training.report = lambda score, **metrics: (reports.append(metrics), report(score, **metrics))
    defense.fit(training)
    assert min(row["mse"] for row in reports) < 0.8 * reports[0]["mse"]
    assert all(row["worst"] <= row["accuracy"] for row in reports)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (1, 19, 17)])
def test_images_of_any_size_come_back(shape):
    assert make(shape).purify(torch.rand(2, *shape)).shape == (2, *shape)
