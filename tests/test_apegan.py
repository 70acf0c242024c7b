"""APE-GAN: a step of each player against its loss written out, and what training comes to."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from make_training import make_training

from purification_bench.benchmark.registries import DEFENSES
from purification_bench.defenses import apegan


def make(shapes):
    torch.manual_seed(0)
    defense = DEFENSES.create("apegan[eps=0.2]")
    defense.build(tuple(shapes[0].x.shape[1:]), 4)
    return defense


def test_the_players_step_along_their_losses(shapes, monkeypatch):
    """One batch: Adam on the cross-entropies, and twice on .7 MSE + .3 cross-entropy."""
    images = type(shapes[0])(shapes[0].x[:8], shapes[0].y[:8])
    training, defense, plain = make_training((images, shapes[1]), epochs=1, batch_size=8), make(shapes), make(shapes)
    judge = apegan.discriminator(plain.shape)
    twin = deepcopy(judge)
    monkeypatch.setattr(apegan, "discriminator", lambda shape: judge)
    (order,) = training.batches()
    x_adv = training.adversarial("fgsm", 0.2, "train")[order]
    defense.fit(training)

    generator, discriminator = (
        torch.optim.Adam(model.parameters(), lr=2e-4, betas=(0.5, 0.999)) for model in (plain, twin)
    )
    plain.train()
    real, fake = twin(images.x[order]).sigmoid(), twin(plain.purify(x_adv).detach()).sigmoid()
    discriminator.zero_grad()
    (-real.log().mean() - (1 - fake).log().mean()).backward()
    discriminator.step()
    for _ in range(2):
        purified = plain.purify(x_adv)
        generator.zero_grad()
        fooled = -twin(purified).sigmoid().log().mean()
        (0.7 * (purified - images.x[order]).square().mean() + 0.3 * fooled).backward()
        generator.step()
    for trained, expected in zip(defense.parameters(), plain.parameters(), strict=True):
        if trained.ndim > 1:  # of a bias before a norm the gradient is rounding, which Adam makes a whole step of
            assert float(((trained - expected).abs() > 1e-5).float().mean()) < 0.01
    assert any(not torch.equal(a, b) for a, b in zip(defense.parameters(), make(shapes).parameters(), strict=True))


def test_training_gives_clean_images_back(shapes, monkeypatch):
    monkeypatch.setattr(apegan, "RATE", 2e-3)
    training, reports = make_training(shapes, epochs=6, batch_size=8), []
    report = training.report
    training.report = lambda score, **metrics: (reports.append(metrics["mse"]), report(score, **metrics))
    make(shapes).fit(training)
    assert min(reports) < 0.7 * reports[0]


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (1, 15, 17)])
def test_the_discriminator_takes_images_of_any_size(shape):
    assert apegan.discriminator(shape)(torch.rand(2, *shape)).shape == (2, 1)
