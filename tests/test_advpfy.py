"""AdvPFY: its loss against torch's distributions, its search written out, its training."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from make_training import make_training
from torch.distributions import Normal, kl_divergence

from purification_bench.benchmark.registries import DEFENSES
from purification_bench.defenses import advpfy


def make(shape=(1, 28, 28), num_classes=4, **options):
    torch.manual_seed(0)
    defense = DEFENSES.create(DEFENSES.spec("advpfy", **{"maps": 8, "steps": 3, "restarts": 2, **options}))
    defense.build(shape, num_classes)
    return defense.eval()


@torch.no_grad()
def test_the_loss_is_the_authors(monkeypatch):
    """Per image the squared error, the divergence, and eight times the cross-entropy of the drawn code."""
    defense, x, y = make(), torch.rand(5, 1, 28, 28), torch.tensor([0, 1, 2, 3, 0])
    monkeypatch.setattr(torch, "randn_like", torch.ones_like)
    mean, log_variance = defense.vae.posterior(x)
    deviation = (log_variance / 2).exp()
    z = mean + deviation
    error = (defense.vae.decode(z) - x).square().sum()
    apart = kl_divergence(Normal(mean, deviation), Normal(0.0, 1.0)).sum()
    expected = (error + apart + 8 * F.cross_entropy(defense.vae.classes(z), y, reduction="sum")) / 5
    assert float(defense.loss(x, y)) == pytest.approx(float(expected), rel=1e-4)


def test_the_search_is_signed_steps_in_the_ball(mnist, monkeypatch):
    """Image by image, without noise in the code: two searches, the second from a random place with twice the step."""
    monkeypatch.setattr(torch, "randn_like", torch.zeros_like)
    defense, x = make(eps=0.2).requires_grad_(False), mnist[0].x[:3]
    torch.manual_seed(5)
    purified = defense.purify(x)
    torch.manual_seed(5)
    start = (x + 0.2 * (2 * torch.rand_like(x) - 1)).clamp(0, 1)
    for k in range(3):
        found = []
        for first, step in ((x[k : k + 1], 1 / 255), (start[k : k + 1], 2 / 255)):
            moved = first
            for _ in range(3):
                moved = moved.clone().requires_grad_()
                (gradient,) = torch.autograd.grad(defense.unlikeliness(moved, noise=False).sum(), moved)
                moved = (moved - step * gradient.sign()).detach()
                moved = torch.minimum(torch.maximum(moved, x[k : k + 1] - 0.2), x[k : k + 1] + 0.2).clamp(0, 1)
            found.append((float(defense.unlikeliness(moved, noise=False)), moved[0]))
        assert torch.allclose(purified[k], min(found, key=lambda pair: pair[0])[1], atol=1e-5)
    assert float((purified - x).abs().max()) <= 0.2 + 1e-6


def test_training_rebuilds_and_classifies(shapes, monkeypatch):
    monkeypatch.setattr(advpfy, "RATE", 3e-3)
    defense = make(tuple(shapes[0].x.shape[1:]))
    training, reports = make_training(shapes, epochs=20, batch_size=8), []
    report = training.report
    training.report = lambda score, **metrics: (reports.append(metrics), report(score, **metrics))
    defense.fit(training)
    assert min(row["unlikeliness"] for row in reports) < 0.9 * reports[0]["unlikeliness"]
    assert max(row["accuracy"] for row in reports) > 0.8


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (1, 19, 17)])
def test_images_of_any_size_come_back(shape):
    assert make(shape).purify(torch.rand(2, *shape)).shape == (2, *shape)
