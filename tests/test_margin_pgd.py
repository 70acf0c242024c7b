"""The margin attack: its steps, its restarts, and that no single draw chooses anything."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from purification_bench.attacks import guard
from purification_bench.attacks.margin_pgd import MarginPGD
from purification_bench.attacks.pursuit import Confirmed, Pursuit
from purification_bench.benchmark.registries import ATTACKS
from purification_bench.defenses.errors import UserError


class Linear(nn.Module):
    """Three classes, each a fixed direction of a 1x2x2 image."""

    weights = torch.tensor([[1.0, 0.0, 0.5, 0.0], [0.0, 1.0, 0.0, -0.25], [0.4, 0.4, -1.0, 2.0]])

    def forward(self, x):
        return x.flatten(1) @ self.weights.T


class Noisy(Linear):
    """The same with noise on its logits."""

    stochastic = True

    def forward(self, x):
        logits = super().forward(x)
        return logits + torch.randn_like(logits)


def by_hand(x, y, eps, steps, momentum):
    """The attack on ``Linear``, with NumPy, image by image."""
    w, out = Linear.weights.numpy(), x.flatten(1).numpy().copy()
    for image, label in zip(out, y.tolist(), strict=True):
        clean, direction = image.copy(), np.zeros_like(image)
        for k in range(steps):
            size = eps / 6 if k < steps * 0.5 else eps / 15 if k < steps * 0.8 else eps / 30
            logits = w @ image
            other = max((c for c in range(3) if c != label), key=lambda c: logits[c])
            gradient = w[other] - w[label]
            direction = momentum * direction + gradient / np.abs(gradient).sum()
            image[:] = np.clip(clean + np.clip(image + size * np.sign(direction) - clean, -eps, eps), 0, 1)
    return torch.from_numpy(out).view_as(x)


@pytest.mark.parametrize("momentum", [0.0, 0.75])
def test_its_steps_are_those_of_a_plain_loop(momentum):
    torch.manual_seed(0)
    x, y = torch.rand(12, 1, 2, 2), torch.randint(3, (12,))
    attack = ATTACKS.create(f"pgd_margin[steps=20,momentum={momentum}]")
    (x_adv,) = guard.run(attack, Linear(), x, y, [0.2], [0])
    assert torch.allclose(x_adv, by_hand(x, y, 0.2, 20, momentum), atol=1e-6)


def test_a_model_without_randomness_gives_the_same_whatever_the_draws():
    torch.manual_seed(0)
    x, y = torch.rand(12, 1, 2, 2), torch.randint(3, (12,))
    attack = ATTACKS.create("pgd_margin[steps=10]")
    one, four = (guard.run(attack, Linear(), x, y, [0.2], [0], samples=samples)[0] for samples in (1, 4))
    assert torch.allclose(one, four, atol=1e-6)


@pytest.mark.parametrize("samples", [1, 4])
def test_restarts_are_compared_over_ten_draws_or_more(samples):
    calls = []

    class Seen(Noisy):
        def forward(self, x):
            if not torch.is_grad_enabled():
                calls.append(len(x))
            return super().forward(x)

    x, y = torch.rand(6, 1, 2, 2), torch.zeros(6, dtype=torch.long)
    guard.run(ATTACKS.create("pgd_margin[steps=10,restarts=2]"), Seen(), x, y, [0.2], [0], samples=samples)
    looking = 12 if samples > 1 else 0  # whether copies share draws is looked up once
    assert sum(calls) - looking >= 2 * 10 * 6


def test_of_several_restarts_each_image_keeps_its_best(mnist):
    images, model = mnist
    x, y = images.x[:60], images.y[:60]
    right = []
    for restarts in (1, 4):
        attack = ATTACKS.create(f"pgd_margin[steps=10,restarts={restarts}]")
        (x_adv,) = guard.run(attack, model, x, y, [0.1], [0])
        with torch.no_grad():
            right.append(model(x_adv).argmax(dim=1) == y)
    assert right[1].sum() <= right[0].sum()
    assert not (right[1] & ~right[0]).any()  # the first start is the same


def test_it_breaks_what_pgd_breaks(mnist):
    images, model = mnist
    broken = []
    for name in ("pgd[steps=40]", "pgd_margin[steps=40]"):
        (x_adv,) = guard.run(ATTACKS.create(name), model, images.x, images.y, [0.1], [0])
        with torch.no_grad():
            broken.append(float((model(x_adv).argmax(dim=1) != images.y).float().mean()))
    assert broken[1] >= broken[0] - 0.05


def test_in_pursuit_later_restarts_run_in_one_batch_and_an_image_leaves_with_all_of_them(mnist):
    images, model = mnist
    x, y = images.x[:60], images.y[:60]
    attack, broken = ATTACKS.create("pgd_margin[steps=20,restarts=4]"), Confirmed(model, 1)
    found = guard.pursue(attack, Pursuit(model, broken), x, y, 0.1, 0)
    (whole,) = guard.run(attack, model, x, y, [0.1], [0])
    caught, expected = broken(found, y), broken(whole, y)
    assert caught.sum() >= expected.sum()
    one = broken(guard.pursue(ATTACKS.create("pgd_margin[steps=20]"), Pursuit(model, broken), x, y, 0.1, 0), y)
    assert not (one & ~caught).any()


def test_steps_that_cannot_reach_the_ball_are_refused():
    with pytest.raises(UserError, match=r"5 steps reach 0\.1, not eps 0\.2; raise steps"):
        ATTACKS.create("pgd_margin[steps=5]").check(0.2)
    assert ATTACKS.create("pgd_margin[steps=20]").check(0.2) is None
    with pytest.raises(ValueError, match=r"momentum must lie in \[0, 1\)"):
        MarginPGD(momentum=1.0)
