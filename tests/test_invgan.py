"""InvGAN: its losses written out, and what training comes to."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from conftest import shipped_or_untrained
from make_training import make_training

from purification_bench.benchmark.registries import DEFENSES
from purification_bench.defenses.invgan import critic_loss
from purification_bench.defenses.wgan import Critic


def make(shape=(1, 28, 28)):
    torch.manual_seed(0)
    defense = DEFENSES.create("invgan")
    defense.build(shape, 4)
    return defense


@torch.no_grad()
def test_the_losses_are_the_authors():
    defense, critic, real = make(), Critic((1, 28, 28)), torch.rand(5, 1, 28, 28)
    codes = defense.encoder(real)
    rebuilt = defense.decode(codes)
    by_column = (rebuilt - real).abs().squeeze(1).mean(dim=1)
    error = (by_column - 0.02).clamp(min=0).mean()
    taken_for_real = critic(rebuilt).sigmoid()
    expected = 100 * error - taken_for_real.log().mean() + 0.5 * codes.square().mean()
    assert float(defense.loss(critic, real)) == pytest.approx(float(expected), rel=1e-5)
    told_apart = -critic(real).sigmoid().log().mean() - (1 - taken_for_real).log().mean()
    assert float(critic_loss(critic, real, rebuilt)) == pytest.approx(float(told_apart), rel=1e-5)


def test_training_inverts_the_generator_that_there_is(shapes):
    """The images to rebuild are the generator's own, so that an inverter exists."""
    teacher, defense = DEFENSES.create("defensegan"), make()
    teacher.build((1, 28, 28), 4)
    with torch.no_grad():
        x = teacher.decode(torch.randn(64, 128))
    images = type(shapes[0])(x, torch.zeros(64, dtype=torch.long))
    training, reports = make_training((images, shapes[1]), epochs=4, batch_size=8), []
    training.trained = lambda name: teacher
    report = training.report
    training.report = lambda score, **metrics: (reports.append(metrics), report(score, **metrics))
    defense.fit(training)
    assert all(
        torch.equal(own, given)
        for own, given in zip(defense.generator.parameters(), teacher.generator.parameters(), strict=True)
    )
    with torch.no_grad():
        before = float(F.mse_loss(make().decode(make().encoder(x)), x))
    assert min(row["rebuilt_mse"] for row in reports) < 0.9 * before


def test_twenty_steps_of_a_tenth_go_where_two_hundred_of_a_hundredth_go(mnist):
    """With the shipped generator, and the shipped encoder in the place of an inverter."""
    shipped, x, ends = shipped_or_untrained("defensegan_encoder"), mnist[0].x[:8], []
    for options in ("steps=20,step_size=0.1", "steps=200,step_size=0.01"):
        defense = DEFENSES.create(f"invgan[{options}]")
        defense.build((1, 28, 28), 10)
        defense.load_state_dict(shipped.state_dict())
        with torch.no_grad():
            ends.append(defense.eval().purify(x))
            start = defense.decode(defense.encoder(x))
    moved = (ends[0] - start).flatten(1).norm(dim=1)
    assert float(moved.min()) > 1e-2
    assert float(((ends[0] - ends[1]).flatten(1).norm(dim=1) / moved).max()) < 0.2
