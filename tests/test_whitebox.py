"""The white-box attack on a defended classifier, against an independent implementation and plain autograd."""

from __future__ import annotations

import foolbox
import pytest
import torch

from purification_bench.attacks import guard, views
from purification_bench.benchmark.assets.loading import load_defense
from purification_bench.benchmark.paths import SHIPPED_ZOO
from purification_bench.benchmark.registries import ATTACKS, CLASSIFIERS, DATASETS, DEFENSES
from purification_bench.defenses import defensegan

STEPS = 5


def shipped(name):
    dataset = DATASETS.create("mnist")
    target = CLASSIFIERS.spec("model_a")
    return load_defense(DEFENSES.spec(name), dataset, target, torch.device("cpu"), [SHIPPED_ZOO])[0]


@pytest.mark.parametrize(
    ("name", "eps", "n"),
    [
        ("cae[latent_dim=32,noise=0.1]", 0.1, 200),
        ("puvae[noise=0]", 0.4, 100),
        ("defensegan[steps=4,restarts=1,z_init=0]", 0.1, 16),
    ],
)
def test_agreement_with_foolbox_through_the_purifier(name, eps, n, mnist):
    """Equal steps, equal start: at most 1.5 % of the verdicts differ."""
    images, classifier = mnist
    x, y = images.x[:n], images.y[:n]
    defense = shipped(name)
    defense.noise = 0.0
    model = views.view("whitebox", classifier, defense, 0)
    ours = ATTACKS.create(f"pgd[steps={STEPS},random_start=false]")
    (x_adv,) = guard.run(ours, model, x, y, [eps], [0])
    theirs = foolbox.attacks.LinfPGD(abs_stepsize=ours.step_size(eps), steps=STEPS, random_start=False)
    with guard.eval_mode(model):
        bounded = foolbox.PyTorchModel(model, bounds=(0, 1), device="cpu")
        _, reference, _ = theirs(bounded, x, y, epsilons=eps)
        with torch.no_grad():
            right = [model(attacked).argmax(dim=1) == y for attacked in (x_adv, reference)]
    assert int((right[0] != right[1]).sum()) <= 0.015 * n
    assert float(right[0].float().mean()) < 0.97


def test_the_unrolled_gradient_is_that_of_plain_autograd():
    """Through all steps of the winning descent, in the memory of one."""
    torch.manual_seed(0)
    defense = DEFENSES.create("defensegan[steps=6,restarts=3,z_radius=8.0]")
    defense.build((1, 28, 28), 10)
    defense.eval().requires_grad_(False)
    x = torch.rand(4, 1, 28, 28, requires_grad=True)
    weights = torch.randn(4, 1, 28, 28)
    torch.manual_seed(3)
    purified = defense.purify(x)
    (gradient,) = torch.autograd.grad((weights * purified).sum(), x)

    torch.manual_seed(3)
    starts = defense.z_init * torch.randn(4, 3, defensegan.LATENT_DIM)
    expected = torch.zeros_like(x)
    for i in range(4):
        ends = [plain_descent(defense, x[i : i + 1], starts[i, r : r + 1]) for r in range(3)]
        best = min(ends, key=lambda image: float((image - x[i : i + 1]).detach().square().mean()))
        assert torch.allclose(best, purified[i : i + 1], atol=1e-4)
        expected += torch.autograd.grad((weights[i : i + 1] * best).sum(), x)[0]
    assert torch.allclose(gradient, expected, rtol=1e-3, atol=1e-5 * float(expected.abs().max()))


def plain_descent(defense, x, z):
    """Descend with every step in the graph."""
    z, velocity = z.requires_grad_(), torch.zeros_like(z)
    for step in range(defense.steps):
        error = (defense.decode(z) - x).square().mean()
        (gradient,) = torch.autograd.grad(error, z, create_graph=True)
        velocity = defense.momentum * velocity + gradient
        z = z - (defense.step_size if step < 0.8 * defense.steps else defense.step_size / 10) * velocity
        z = z * (defense.z_radius / z.norm(dim=1, keepdim=True)).clamp(max=1)
    return defense.decode(z)
