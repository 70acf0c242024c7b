"""Laws over every registered attack, and agreement with an independent implementation."""

from __future__ import annotations

import foolbox
import numpy as np
import pytest
import torch
import torchattacks

from purification_bench.attacks import guard
from purification_bench.attacks.carlini_wagner import CarliniWagner
from purification_bench.benchmark.assets.data import Images
from purification_bench.benchmark.registries import ATTACKS
from purification_bench.defenses.errors import UserError

FAST = {
    "pgd": "pgd[steps=5]",
    "bim": "bim[steps=5]",
    "cw": "cw[searches=2,steps=20]",
    "pgd_restarts": "pgd_restarts[steps=3,restarts=2]",
    "pgd_margin": "pgd_margin[steps=10]",
    "pgdl2": "pgdl2[steps=5]",
    "apgd": "apgd[steps=5]",
    "apgdt": "apgdt[steps=5,targets=2]",
    "square": "square[queries=40]",
    "spsa": "spsa[steps=2,samples=4]",
    "hopskipjump": "hopskipjump[queries=400]",
    "ddn": "ddn[steps=5]",
    "jsma": "jsma[bound=6]",
    "one_pixel": "one_pixel[steps=2,population=10]",
}
OF_THEIR_OWN = {"latent", "latent_l2", "race", "race_l2", "autoattack"}
"""Tested elsewhere: they need a decoder, or candidates, or are slow."""
SHORT = [name for name in ATTACKS.names() if name not in OF_THEIR_OWN]
LINF = [name for name in SHORT if ATTACKS.get(name).norm == "linf"]


def attack_of(name):
    return ATTACKS.create(FAST.get(name, name))


def perturb(attack, model, images: Images, eps: float, seed: int = 0):
    return guard.run(attack, model, images.x, images.y, [eps], [seed])[0]


def accuracy(model, x, y) -> float:
    with torch.no_grad():
        return float((model(x).argmax(dim=1) == y).float().mean())


@pytest.fixture(scope="module")
def few(shapes):
    """Sixteen generated images, and their classifier."""
    images, model = shapes
    return Images(images.x[:16], images.y[:16]), model


@pytest.mark.parametrize("name", LINF)
def test_eps_zero_changes_nothing(name, few):
    images, model = few
    assert torch.equal(perturb(attack_of(name), model, images, 0.0), images.x)


@pytest.mark.parametrize("eps", [0.03, 0.3, 1.5])
@pytest.mark.parametrize("name", LINF)
def test_the_images_stay_in_the_ball_and_the_box(name, eps, few):
    images, model = few
    attack = attack_of(name)
    x_adv = guard.run(attack, model, images.x, images.y, [eps], [0], box=not attack.leaves_box)[0]
    assert float((x_adv - images.x).abs().max()) <= eps + 1e-6
    assert attack.leaves_box or (float(x_adv.min()) >= 0 and float(x_adv.max()) <= 1)
    assert not torch.equal(x_adv, images.x)


@pytest.mark.parametrize("name", SHORT)
def test_the_same_seed_gives_the_same_bits(name, few):
    images, model = few
    attack = attack_of(name)
    eps = attack.bound or 0.1
    assert torch.equal(perturb(attack, model, images, eps), perturb(attack, model, images, eps))


@pytest.mark.parametrize("name", ["pgd", "noise"])
def test_another_seed_gives_another_start(name, mnist):
    images, model = Images(mnist[0].x[:4], mnist[0].y[:4]), mnist[1]
    attack = attack_of(name)
    assert not torch.equal(perturb(attack, model, images, 0.1), perturb(attack, model, images, 0.1, seed=1))


@pytest.mark.parametrize("name", LINF)
def test_a_size_does_not_depend_on_the_sizes_beside_it(name, few):
    images, model = few
    attack = attack_of(name)
    box = not attack.leaves_box
    alone = guard.run(attack, model, images.x, images.y, [0.3], [7], box=box)[0]
    beside = guard.run(attack, model, images.x, images.y, [0.1, 0.3], [5, 7], box=box)[1]
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
    images, model = Images(mnist[0].x[:20], mnist[0].y[:20]), mnist[1]
    attack = CarliniWagner(bound=10.0, steps=80, searches=4)
    ours = guard.distances("l2", images.x, attack.perturb(model, images.x.clone(), images.y, 10.0))
    reference = foolbox.attacks.L2CarliniWagnerAttack(binary_search_steps=4, steps=150, stepsize=0.05, initial_const=1)
    bounded = foolbox.PyTorchModel(model, bounds=(0, 1), device="cpu")
    found, _, success = reference(bounded, images.x, images.y, epsilons=None)
    assert bool(success.all())
    theirs = guard.distances("l2", images.x, found)
    assert float(ours.median()) <= 1.1 * float(theirs.median())


def test_pgd_in_the_l2_ball_finds_what_foolbox_finds(mnist):
    images, model = mnist
    ours = accuracy(model, perturb(ATTACKS.create("pgdl2[steps=20]"), model, images, 1.5), images.y)
    reference = foolbox.attacks.L2PGD(rel_stepsize=0.125, steps=20, random_start=False)
    bounded = foolbox.PyTorchModel(model, bounds=(0, 1), device="cpu")
    _, found, _ = reference(bounded, images.x, images.y, epsilons=1.5)
    assert abs(ours - accuracy(model, found, images.y)) <= 0.02


def test_restarts_find_at_least_what_one_start_finds(mnist):
    images, model = Images(mnist[0].x[:60], mnist[0].y[:60]), mnist[1]
    one, three = (
        accuracy(model, perturb(ATTACKS.create(f"pgd_restarts[steps=5,restarts={r}]"), model, images, 0.12), images.y)
        for r in (1, 3)
    )
    assert three <= one


def test_the_predicted_label_leaks_nothing(mnist):
    """Where the model is right the two attacks are one; where it is wrong, the step leads back to the true label."""
    images, model = mnist
    right = (model(images.x).argmax(dim=1) == images.y)[:, None, None, None]
    true, predicted = (perturb(ATTACKS.create(name), model, images, 0.2) for name in ("fgsm", "fgsm_predicted"))
    assert torch.equal(true * right, predicted * right)


def test_from_half_the_range_on_grey_is_one_image(mnist):
    images, model = mnist
    grey = perturb(ATTACKS.create("grey"), model, images, 0.5)
    assert float((grey - 0.5).abs().max()) < 1e-6


def test_in_the_whole_box_an_image_becomes_one_of_another_class(mnist):
    images, model = mnist
    other = perturb(ATTACKS.create("other_class"), model, images, 1.0)
    assert accuracy(model, other, images.y) < 0.02
    nearest, rows = torch.cdist(other.flatten(1), images.x.flatten(1)).min(dim=1)
    assert float(nearest.max()) < 0.05
    assert bool((images.y[rows] != images.y).all())


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


def test_ddn_finds_what_foolbox_finds_within_the_bound(mnist):
    images, model = mnist
    ours = perturb(ATTACKS.create("ddn[steps=30,bound=1.5]"), model, images, 1.5)
    bounded = foolbox.PyTorchModel(model, bounds=(0, 1), device="cpu")
    reference = foolbox.attacks.DDNAttack(steps=30, init_epsilon=1.5)
    nearest = reference.run(bounded, images.x, foolbox.Misclassification(images.y))
    within = (nearest - images.x).flatten(1).norm(dim=1) <= 1.5
    broken = model(ours).argmax(dim=1) != images.y
    assert bool(broken[within].all()) and int(within.sum()) > 20
    assert accuracy(model, ours, images.y) < accuracy(model, perturb(attack_of("noise"), model, images, 0.05), images.y)


@pytest.mark.parametrize(("name", "pixels"), [("jsma[bound=40]", 40), ("one_pixel[bound=3]", 3)])
def test_few_pixels_break_some_images_and_no_more_of_them_are_changed(name, pixels, mnist):
    images, model = Images(mnist[0].x[:12], mnist[0].y[:12]), mnist[1]
    x_adv = perturb(ATTACKS.create(name), model, images, pixels)
    changed = (x_adv != images.x).any(dim=1).flatten(1).sum(dim=1)
    assert int(changed.max()) <= pixels and int(changed.max()) > 0
    assert float(guard.distances("l0", images.x, x_adv).max()) == int(changed.max())
    with torch.no_grad():
        scores = [model(x).softmax(dim=1).gather(1, images.y[:, None]).mean() for x in (images.x, x_adv)]
    assert float(scores[1]) < float(scores[0])
    if pixels == 40:
        assert accuracy(model, x_adv, images.y) < 0.8


def test_more_pixels_than_the_bound_are_refused(few):
    class Everywhere(type(attack_of("one_pixel"))):
        def perturb(self, model, x, y, eps):
            return 1 - x

    with pytest.raises(guard.AttackError, match="left the l0 ball"):
        guard.run(Everywhere(), few[1], *few[0], [1], [0])


def test_numpys_generator_is_as_it_was_after_an_evolution(few):
    np.random.seed(3)
    expected = np.random.RandomState(3).rand()
    perturb(attack_of("one_pixel"), few[1], few[0], 1)
    assert np.random.rand() == expected


class _Unbreakable(torch.nn.Module):
    """Right about everything, with a gradient."""

    def forward(self, x):
        return torch.stack([x.flatten(1).mean(dim=1) * 0 + 9 - k + 0.01 * x[:, 0, k, k] for k in range(10)], dim=1)


@pytest.mark.parametrize("bound", [2, 30, 106, 126])
def test_jsma_spends_its_pixels_and_no_more(bound):
    x_adv = guard.run(
        ATTACKS.create(f"jsma[bound={bound}]"), _Unbreakable(), torch.zeros(1, 1, 28, 28), torch.zeros(1).long(),
        [bound], [0],
    )[0]  # fmt: skip
    assert int((x_adv != 0).sum()) <= bound


class _Noisy(torch.nn.Module):
    stochastic = True

    def __init__(self, classifier):
        super().__init__()
        self.classifier = classifier

    def forward(self, x):
        return self.classifier((x + 0.3 * torch.randn_like(x)).clamp(0, 1))


def test_ddn_goes_to_the_edge_where_one_draw_says_little(mnist):
    images, model = Images(mnist[0].x[:20], mnist[0].y[:20]), _Noisy(mnist[1])
    moved = (perturb(ATTACKS.create("ddn[steps=20]"), model, images, 1.5) - images.x).flatten(1).norm(dim=1)
    assert bool(((moved < 1e-6) | (moved > 1.2)).all()) and int((moved > 1.2).sum()) > 5
