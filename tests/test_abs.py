"""Analysis by synthesis: its search against one written out, its loss against torch's distributions, its training."""

from __future__ import annotations

import pytest
import torch
from make_training import make_training
from torch.distributions import Normal, kl_divergence

from purification_bench.benchmark.registries import DEFENSES


def make(shape=(1, 28, 28), num_classes=3, **options):
    torch.manual_seed(0)
    defense = DEFENSES.create(DEFENSES.spec("abs", **{"samples": 20, "steps": 3, "latent_dim": 4, **options}))
    defense.build(shape, num_classes)
    return defense.eval()


def cost(model, z, x):
    return (model.decode(z[None])[0] - x).square().sum() + z.square().sum() / 2


def test_the_search_starts_at_the_best_drawn_code_and_descends_by_adam(mnist):
    defense, x = make().requires_grad_(False), mnist[0].x[:3]
    drawn = torch.randn(20, 4, generator=torch.Generator().manual_seed(0))
    for image, purified in zip(x, defense.purify(x), strict=True):
        found = []
        for model in defense.models:
            start = min(drawn, key=lambda z, model=model, image=image: float(cost(model, z, image)))
            code = start.clone().requires_grad_()
            optimizer = torch.optim.Adam([code], lr=0.05)
            for _ in range(3):
                optimizer.zero_grad()
                cost(model, code, image).backward()
                optimizer.step()
            code = code.detach()
            found.append((float(cost(model, code, image)), model.decode(code[None])[0]))
        assert torch.allclose(purified, min(found, key=lambda pair: pair[0])[1], atol=1e-4)


def test_the_loss_is_each_class_models_evidence_bound(monkeypatch):
    defense, x, y = make(), torch.rand(6, 1, 28, 28), torch.tensor([0, 1, 2, 0, 0, 2])
    monkeypatch.setattr(torch, "randn_like", torch.zeros_like)
    expected = 0.0
    for image, label in zip(x, y, strict=True):
        mean, log_variance = (part[0] for part in defense.models[label].posterior(image[None]))
        divergence = kl_divergence(Normal(mean, (log_variance / 2).exp()), Normal(0.0, 1.0)).sum()
        expected += (defense.models[label].decode(mean[None])[0] - image).square().sum() + divergence
    assert float(defense.loss(x, y).detach()) == pytest.approx(float(expected.detach()) / 6, rel=1e-4)


def test_new_weights_make_new_starts(mnist):
    defense, other, x = make(), make(), mnist[0].x[:2]
    defense.purify(x)
    for parameter in other.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    defense.load_state_dict(other.state_dict())
    assert torch.equal(defense.purify(x), other.purify(x))


def test_what_it_decodes_is_what_it_purifies_to(mnist):
    defense, x = make(), mnist[0].x[:4]
    with torch.no_grad():
        assert torch.allclose(defense.decode(defense.encode(x)), defense.purify(x), atol=1e-5)


def test_training_tells_classes_apart(shapes):
    defense = make(tuple(shapes[0].x.shape[1:]), 4)
    training, reports = make_training(shapes, epochs=12, batch_size=8), []
    report = training.report
    training.report = lambda score, **metrics: (reports.append(metrics), report(score, **metrics))
    defense.fit(training)
    assert max(row["accuracy"] for row in reports) > 0.7
    assert min(row["bound"] for row in reports) < 0.8 * reports[0]["bound"]


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 19, 17)])
def test_images_of_any_size_come_back(shape):
    defense, x = make(shape), torch.rand(2, *shape)
    assert defense.purify(x).shape == defense.surrogate(x).shape == x.shape
