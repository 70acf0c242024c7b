"""What attackers see: true values forward, and the gradient that each view promises."""

from __future__ import annotations

import pytest
import torch

from purification_bench.attacks import guard, queried, views
from purification_bench.attacks.expectation import Tied, is_random, shares_draws
from purification_bench.benchmark.registries import ATTACKS, DEFENSES
from purification_bench.defenses.base import DefendedClassifier, Defense


class Rounding(Defense):
    def purify(self, x):
        return (x * 15).round() / 15


class Halving(Rounding):
    def surrogate(self, x):
        return x / 2


class Noise(Defense):
    stochastic = True

    def purify(self, x):
        return (x + 0.3 * torch.randn_like(x)).clamp(0, 1)


def gradient(model, x, y):
    x = x.clone().requires_grad_()
    return torch.autograd.grad(torch.nn.functional.cross_entropy(model(x), y, reduction="sum"), x)[0]


@pytest.mark.parametrize(("defense", "factor"), [(Rounding(), 1.0), (Halving(), 0.5)])
def test_bpda_is_true_forward_and_the_surrogate_backward(defense, factor, mnist):
    images, classifier = mnist
    x, y = images.x[:20], images.y[:20]
    seen = views.view("bpda", classifier, defense, 0)
    defended = DefendedClassifier(classifier, defense)
    assert torch.allclose(seen(x), defended(x), atol=1e-4)
    expected = factor * gradient(classifier, defense.purify(x), y)
    assert torch.allclose(gradient(seen, x, y), expected, atol=1e-6)
    assert float(gradient(defended, x, y).abs().max()) == 0


def test_a_frozen_view_repeats_itself_and_leaves_the_generator_alone(mnist):
    images, classifier = mnist
    x = images.x[:8]
    torch.manual_seed(5)
    frozen = views.view("fixed-seed", classifier, Noise(), 3)
    assert torch.equal(frozen(x), frozen(x))
    assert not torch.equal(frozen(x), views.view("fixed-seed", classifier, Noise(), 4)(x))
    after = torch.rand(1)
    torch.manual_seed(5)
    assert torch.equal(after, torch.rand(1))


def test_the_expectation_is_of_loss_gradients(mnist):
    """Each copy draws its own noise; the first copy's gradient is the mean over copies of theirs."""
    images, classifier = mnist
    x, y = images.x[:6], images.y[:6]
    model = DefendedClassifier(classifier, Noise())
    tied, copies, labels = Tied(model, 4).stacked(x, y)
    torch.manual_seed(0)
    averaged = gradient(tied, copies, labels)
    torch.manual_seed(0)
    each = gradient(model, copies, labels).unflatten(0, (4, 6))
    assert not torch.allclose(each[0], each[1])
    assert torch.allclose(averaged[:6], each.mean(dim=0), atol=1e-6)
    assert torch.equal(averaged[:6], averaged[6:12])


def verdicts_of_one_and_five_draws(name, model, x, y):
    attack = ATTACKS.create(name)
    found = [guard.run(attack, model, x, y, [0.2], [0], samples)[0] for samples in (1, 5)]
    return [(model(x_adv).argmax(dim=1) == y).tolist() for x_adv in found]


@pytest.mark.parametrize("defense", ["none", "median", "cae[noise=0]"])
@pytest.mark.parametrize("name", ["fgsm", "pgd[steps=5,random_start=false]"])
def test_an_expectation_over_no_randomness_is_the_plain_attack(name, defense, mnist):
    images, classifier = mnist
    made = DEFENSES.create(defense)
    torch.manual_seed(0)
    made.build((1, 28, 28), 10)
    plain, averaged = verdicts_of_one_and_five_draws(
        name, DefendedClassifier(classifier, made.eval()), images.x[:30], images.y[:30]
    )
    assert plain == averaged


@pytest.mark.parametrize("name", ["pgd[steps=5]", "apgd[steps=5]", "apgdt[steps=5,targets=2]"])
def test_with_another_random_start_it_is_nearly_the_plain_attack(name, mnist):
    images, classifier = mnist
    plain, averaged = verdicts_of_one_and_five_draws(name, classifier, images.x[:30], images.y[:30])
    assert sum(a != b for a, b in zip(plain, averaged, strict=True)) <= 2


class Shift(Defense):
    """One draw for the whole batch."""

    stochastic = True

    def purify(self, x):
        return x.roll(int(torch.randint(0, 9, ())), dims=-1)


def test_copies_get_draws_of_their_own_where_a_batch_shares_one(mnist):
    images, classifier = mnist
    x, y = images.x[:4], images.y[:4]
    assert shares_draws(DefendedClassifier(classifier, Shift()), x)
    assert not shares_draws(DefendedClassifier(classifier, Noise()), x)
    counted = queried.Counted(DefendedClassifier(classifier, Shift()))
    tied, copies, _ = Tied(counted, 16, apart=True).stacked(x, y)
    logits = tied(copies).unflatten(0, (16, 4))
    assert len({tuple(copy.tolist()) for copy in logits[:, 0]}) > 3
    assert counted.queries == 64
    averaged = queried.Averaged(counted, 16)(x)
    assert not torch.allclose(averaged, counted(x))


def test_what_is_random_declares_it(mnist):
    _, classifier = mnist
    assert is_random(queried.Counted(DefendedClassifier(classifier, Noise())))
    assert not is_random(DefendedClassifier(classifier, Rounding()))
    assert not is_random(views.view("fixed-seed", classifier, Noise(), 0))
    assert not is_random(classifier)


def test_averaging_helps_against_noise(mnist):
    """What averaging is for: with it the attack finds more."""
    images, classifier = mnist
    x, y = images.x[:60], images.y[:60]
    model = DefendedClassifier(classifier, Noise())
    attack = ATTACKS.create("pgd[steps=10]")
    left = []
    for samples in (1, 8):
        x_adv = guard.run(attack, model, x, y, [0.15], [0], samples)[0]
        torch.manual_seed(1)
        left.append(float(torch.stack([(model(x_adv).argmax(dim=1) == y).float() for _ in range(5)]).mean()))
    assert left[1] < left[0]


def test_queries_are_counted(mnist):
    images, classifier = mnist
    counted = queried.Counted(classifier)
    x, y = images.x[:10], images.y[:10]
    guard.run(ATTACKS.create("square[queries=50]"), counted, x, y, [0.1], [0])
    assert 10 < counted.queries <= 10 * 51


def test_an_average_over_draws_costs_its_queries_and_is_steadier(mnist):
    images, classifier = mnist
    x = images.x[:20]
    noisy = DefendedClassifier(classifier, Noise())
    counted = queried.Counted(noisy)
    averaged = queried.Averaged(counted, 16)
    with torch.no_grad():
        torch.manual_seed(0)
        spread = {model: torch.stack([model(x) for _ in range(8)]).std(dim=0).mean() for model in (noisy, averaged)}
        assert averaged(x).shape == (20, 10)
    assert counted.queries == 9 * 16 * 20
    assert float(spread[averaged]) < 0.4 * float(spread[noisy])
