"""Laws over every registered attack, and agreement with an independent implementation."""

from __future__ import annotations

import foolbox
import pytest
import torch
import torchattacks

from attacks import guard
from attacks.carlini_wagner import CarliniWagner
from benchmark.data import Images
from benchmark.registries import ATTACKS
from defenses.errors import UserError

FAST = {"pgd": "pgd[steps=5]", "bim": "bim[steps=5]", "cw": "cw[searches=2,steps=20]"}
LINF = [name for name in ATTACKS.names() if ATTACKS.get(name).norm == "linf"]


def attack_of(name):
    return ATTACKS.create(FAST.get(name, name))


def perturb(attack, model, images: Images, eps: float, seed: int = 0):
    return guard.run(attack, model, images.x, images.y, [eps], [seed])[0]


def accuracy(model, x, y) -> float:
    with torch.no_grad():
        return float((model(x).argmax(dim=1) == y).float().mean())


@pytest.mark.parametrize("name", LINF)
def test_eps_zero_changes_nothing(name, shapes):
    images, model = shapes
    assert torch.equal(perturb(attack_of(name), model, images, 0.0), images.x)


@pytest.mark.parametrize("eps", [0.03, 0.3, 1.5])
@pytest.mark.parametrize("name", LINF)
def test_the_images_stay_in_the_ball_and_the_box(name, eps, shapes):
    images, model = shapes
    x_adv = perturb(attack_of(name), model, images, eps)
    assert float((x_adv - images.x).abs().max()) <= eps + 1e-6
    assert float(x_adv.min()) >= 0
    assert float(x_adv.max()) <= 1
    assert not torch.equal(x_adv, images.x)


@pytest.mark.parametrize("name", ATTACKS.names())
def test_the_same_seed_gives_the_same_bits(name, shapes):
    images, model = shapes
    attack = attack_of(name)
    eps = attack.bound or 0.1
    assert torch.equal(perturb(attack, model, images, eps), perturb(attack, model, images, eps))


@pytest.mark.parametrize("name", ["pgd", "noise"])
def test_another_seed_gives_another_start(name, mnist):
    images, model = Images(mnist[0].x[:4], mnist[0].y[:4]), mnist[1]
    attack = attack_of(name)
    assert not torch.equal(perturb(attack, model, images, 0.1), perturb(attack, model, images, 0.1, seed=1))


@pytest.mark.parametrize("name", LINF)
def test_a_size_does_not_depend_on_the_sizes_beside_it(name, shapes):
    images, model = shapes
    attack = attack_of(name)
    alone = guard.run(attack, model, images.x, images.y, [0.3], [7])[0]
    beside = guard.run(attack, model, images.x, images.y, [0.1, 0.3], [5, 7])[1]
    assert torch.equal(alone, beside)


@pytest.mark.parametrize("eps", [0.0, 0.1, 0.6, 1.0, 1.5])
def test_fgsm_from_one_gradient_is_fgsm_at_every_size(eps, mnist):
    images, model = mnist
    swept = perturb(attack_of("fgsm"), model, images, eps)
    direct = torchattacks.FGSM(model, eps=eps)(images.x, images.y)
    assert torch.equal(swept, direct)


def test_the_noise_control_moves_as_far_as_fgsm(mnist):
    images, model = mnist
    noise = perturb(attack_of("noise"), model, images, 0.3)
    assert float((noise - images.x).abs().max()) == pytest.approx(0.3, abs=1e-6)
    assert accuracy(model, noise, images.y) > 0.9


@pytest.mark.parametrize(
    ("name", "reference", "eps"),
    [
        ("fgsm", foolbox.attacks.LinfFastGradientAttack(random_start=False), 0.1),
        ("fgsm", foolbox.attacks.LinfFastGradientAttack(random_start=False), 0.3),
        ("bim[steps=10]", foolbox.attacks.LinfBasicIterativeAttack(rel_stepsize=0.25, steps=10), 0.1),
        ("pgd[steps=10]", foolbox.attacks.LinfPGD(rel_stepsize=0.25, steps=10), 0.1),
        ("pgd[steps=10]", foolbox.attacks.LinfPGD(rel_stepsize=0.25, steps=10), 0.3),
    ],
    ids=["fgsm-0.1", "fgsm-0.3", "bim-0.1", "pgd-0.1", "pgd-0.3"],
)
def test_agreement_with_foolbox(name, reference, eps, mnist_500):
    """Within one point of accuracy on the same 500 images."""
    images, model = mnist_500
    ours = accuracy(model, perturb(ATTACKS.create(name), model, images, eps), images.y)
    bounded = foolbox.PyTorchModel(model, bounds=(0, 1), device="cpu")
    torch.manual_seed(0)
    _, clipped, _ = reference(bounded, images.x, images.y, epsilons=eps)
    assert abs(ours - accuracy(model, clipped, images.y)) <= 0.01


def test_carlini_wagner_finds_what_foolbox_finds(mnist):
    images, model = Images(mnist[0].x[:40], mnist[0].y[:40]), mnist[1]
    attack = CarliniWagner(bound=10.0, steps=100, searches=5)
    ours = guard.distances("l2", images.x, attack.perturb(model, images.x.clone(), images.y, 10.0))
    reference = foolbox.attacks.L2CarliniWagnerAttack(binary_search_steps=5, steps=200, stepsize=0.05, initial_const=1)
    bounded = foolbox.PyTorchModel(model, bounds=(0, 1), device="cpu")
    found, _, success = reference(bounded, images.x, images.y, epsilons=None)
    assert bool(success.all())
    theirs = guard.distances("l2", images.x, found)
    assert float(ours.median()) <= 1.1 * float(theirs.median())


def test_carlini_wagner_moves_pixels_that_are_black_or_white(mnist):
    images, model = Images(mnist[0].x[:20], mnist[0].y[:20]), mnist[1]
    x_adv = perturb(ATTACKS.create("cw[searches=2]"), model, images, 1.5)
    on_the_edge = (images.x == 0) | (images.x == 1)
    assert float((x_adv - images.x).abs()[on_the_edge].max()) > 0.05


def test_carlini_wagner_treats_each_image_alone(mnist):
    images, model = mnist
    attack = attack_of("cw")
    together = perturb(attack, model, Images(images.x[:8], images.y[:8]), 1.5)
    fewer = perturb(attack, model, Images(images.x[:4], images.y[:4]), 1.5)
    assert float((together[:4] - fewer).abs().max()) < 1e-3


@pytest.mark.parametrize("eps", [0.03, 0.3])
@pytest.mark.parametrize("steps", [1, 10, 40])
def test_the_step_follows_eps(eps, steps):
    attack = ATTACKS.create(f"pgd[steps={steps}]")
    assert attack.step_size(eps) * steps == pytest.approx(2.5 * eps)
    assert attack.check(eps) is None


def test_steps_that_cannot_reach_the_boundary_are_refused():
    with pytest.raises(UserError, match=r"reach 0.0784314, not eps 0.3"):
        ATTACKS.create("pgd[steps=10,alpha=2/255]").check(0.3)


def test_steps_that_cannot_cross_the_ball_are_warned_of():
    assert "less than across" in ATTACKS.create("pgd[steps=40,alpha=0.01]").check(0.3)
