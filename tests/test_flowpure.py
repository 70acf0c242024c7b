"""FlowPure: its lines and Euler steps written out, its gradient against plain autograd's, its training."""

from __future__ import annotations

import pytest
import torch
from chains import gradients
from make_training import make_training

from purification_bench.benchmark.registries import DEFENSES
from purification_bench.defenses import averaged


def make(shape=(1, 28, 28), **options):
    torch.manual_seed(0)
    defense = DEFENSES.create(DEFENSES.spec("flowpure", width=8, **options))
    defense.build(shape, 10)
    for parameter in defense.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return defense.eval()


@torch.no_grad()
def test_it_takes_eulers_steps_along_the_flow(mnist):
    defense, x = make(sigma=0.4, start=0.25, steps=3), mnist[0].x[:4]
    torch.manual_seed(1)
    images = x + 0.75 * 0.4 * torch.randn_like(x)
    for time in (0.25, 0.5, 0.75):
        images = images + 0.25 * defense.unet(images, torch.full((4,), 1000 * time))
    torch.manual_seed(1)
    assert torch.allclose(defense.purify(x), images.clamp(0, 1), atol=1e-5)


@torch.no_grad()
def test_a_flow_that_knows_the_noise_gives_the_image_back(mnist, monkeypatch):
    """On a straight line every step counts the same: from any start, in any number of steps, the image is reached."""
    x = mnist[0].x[:4]
    for start, steps in ((0.5, 10), (0.2, 3), (0.0, 1)):
        defense = make(sigma=1.0, start=start, steps=steps)
        torch.manual_seed(3)
        noise = torch.randn_like(x)
        monkeypatch.setattr(defense.unet, "forward", lambda images, t, noise=noise: -noise)
        torch.manual_seed(3)
        assert torch.allclose(defense.purify(x), x, atol=1e-5)


def test_the_gradient_is_that_of_plain_autograd(mnist, monkeypatch):
    checkpointed, plain = gradients(make(steps=3), mnist[0].x[:4], monkeypatch)
    assert torch.allclose(checkpointed, plain, atol=1e-5)
    assert float(checkpointed.abs().max()) > 1e-3


def test_training_tells_velocities_better(shapes, monkeypatch):
    monkeypatch.setattr(averaged, "MEMORY", 0.9)
    monkeypatch.setattr(averaged, "FIRST_MEMORY", 0.9)
    torch.manual_seed(0)
    defense = DEFENSES.create("flowpure[width=8]")
    defense.build(tuple(shapes[0].x.shape[1:]), 4)
    training, errors = make_training(shapes, epochs=5, batch_size=2), []
    report = training.report
    training.report = lambda score, **metrics: (errors.append(metrics["error"]), report(score, **metrics))
    defense.fit(training)
    assert min(errors) < 0.9 * errors[0]


@pytest.mark.parametrize(
    ("options", "line"),
    [("start=1", "start must lie in [0, 1), not be 1"), ("sigma=0", "sigma must be positive, not 0")],
)
def test_what_makes_no_flow_is_refused(options, line, bench):
    status, _, err = bench("run", "--defenses", f"flowpure[{options}]", "-n", "8")
    assert status == 2
    assert line in err and err.count("\n") == 1
