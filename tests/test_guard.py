"""The hazards of torchattacks, each held off by the guard."""

from __future__ import annotations

import pytest
import torch
import torchattacks
from torch import nn

from purification_bench.attacks import guard
from purification_bench.attacks.base import Attack
from purification_bench.attacks.signed_steps import TorchAttack
from purification_bench.benchmark.registries import ATTACKS


class Reseeds(TorchAttack):
    """APGD reseeds the global generator on every call."""

    def build(self, model, eps):
        return torchattacks.APGD(model, eps=eps, steps=2)


class Returns(Attack):
    """Returns whatever it is told to."""

    def __init__(self, make):
        self.make = make

    def perturb(self, model, x, y, eps):
        return self.make(x)


def run(attack, model, x, y, eps=0.1):
    return guard.run(attack, model, x, y, [eps], [0])[0]


@pytest.fixture
def classifier():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Dropout(), nn.Linear(144, 3)
    )


@pytest.fixture
def batch():
    return torch.rand(6, 1, 8, 8), torch.arange(6) % 3


@pytest.mark.parametrize("name", ["fgsm", "pgd[steps=3]", "bim[steps=3]", "cw[steps=3,searches=1]"])
def test_train_and_eval_flags_of_every_submodule_survive(name, classifier, batch):
    whole = nn.Sequential(nn.Identity().train(), classifier.eval())
    whole.train()
    classifier.eval()
    classifier[1].train()
    before = [module.training for module in whole.modules()]
    run(ATTACKS.create(name), whole, *batch, eps=ATTACKS.create(name).bound or 0.1)
    assert [module.training for module in whole.modules()] == before


def test_flags_survive_an_attack_that_raises(classifier, batch):
    classifier.train()
    with pytest.raises(ZeroDivisionError):
        run(Returns(lambda x: 1 / 0), classifier, *batch)
    assert classifier.training
    assert all(parameter.requires_grad for parameter in classifier.parameters())


def test_the_model_is_attacked_in_eval_mode(classifier, batch):
    classifier.train()
    running = classifier[1].running_mean.clone()
    run(ATTACKS.create("pgd[steps=3]"), classifier, *batch)
    assert torch.equal(classifier[1].running_mean, running)


def test_no_gradient_is_left_on_the_parameters(classifier, batch):
    run(ATTACKS.create("cw[steps=3,searches=1]"), classifier, *batch, eps=1.5)
    assert all(parameter.grad is None for parameter in classifier.parameters())
    assert all(parameter.requires_grad for parameter in classifier.parameters())


@pytest.mark.parametrize("attack", [Reseeds(), ATTACKS.create("pgd[steps=2]")], ids=["apgd", "pgd"])
def test_the_global_generator_is_restored(attack, classifier, batch):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    run(attack, classifier, *batch)
    assert torch.equal(torch.rand(3), expected)


def test_nothing_is_printed(batch, capsys):
    class NoParameters(nn.Module):
        def forward(self, x):
            return x.flatten(1)[:, :3]

    run(ATTACKS.create("pgd[steps=2]"), NoParameters(), *batch)
    assert capsys.readouterr().out == ""


def test_attacks_run_under_no_grad(classifier, batch):
    with torch.no_grad():
        x_adv = run(ATTACKS.create("fgsm"), classifier, *batch)
    assert not torch.equal(x_adv, batch[0])
    assert not x_adv.requires_grad


def test_attacks_run_in_float32_under_autocast(classifier, batch):
    plain = run(ATTACKS.create("fgsm"), classifier, *batch)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(run(ATTACKS.create("fgsm"), classifier, *batch), plain)


@pytest.mark.parametrize("shift", [-0.1, 0.5, torch.nan])
def test_images_outside_the_box_are_refused(shift, classifier, batch):
    with pytest.raises(guard.AttackError, match=r"\[0, 1\]"):
        run(ATTACKS.create("fgsm"), classifier, batch[0] + shift, batch[1])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda x: x + 0.2, "left the"),
        (lambda x: (x + 0.2).clamp(0, 1), "left the linf ball"),
        (lambda x: x * torch.nan, "not finite"),
        (lambda x: x[1:], "returned"),
        (lambda x: x.double(), "returned"),
    ],
    ids=["box", "ball", "nan", "shape", "dtype"],
)
def test_images_that_break_the_contract_are_refused(make, message, classifier, batch):
    with pytest.raises(guard.AttackError, match=message):
        run(Returns(make), classifier, *batch)


def test_what_an_attack_does_to_its_input_does_not_reach_ours(classifier, batch):
    kept = batch[0].clone()
    run(Returns(lambda x: x.clamp_(max=0.95)), classifier, *batch)
    assert torch.equal(batch[0], kept)


def test_a_model_without_a_gradient_is_told_what_to_declare(shapes):
    (x, y), classifier = shapes

    class Rounded(nn.Module):
        def forward(self, x):
            return classifier((x > 0.5).float())

    with pytest.raises(guard.AttackError, match="declares differentiable = False"):
        guard.run(ATTACKS.create("fgsm"), Rounded(), x, y, [0.1], [0])
