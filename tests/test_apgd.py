"""Auto-PGD and AutoAttack against the package of their authors."""

from __future__ import annotations

import pytest
import torch

from purification_bench.attacks import apgd as apgd_module
from purification_bench.attacks import guard
from purification_bench.attacks.auto_steps import ends_of_stretches
from purification_bench.attacks.margin import dlr, targeted_dlr
from purification_bench.attacks.queried import Counted
from purification_bench.attacks.views import view
from purification_bench.benchmark.assets.loading import load_classifier
from purification_bench.benchmark.paths import SHIPPED_ZOO
from purification_bench.benchmark.registries import ATTACKS, CLASSIFIERS, DATASETS
from purification_bench.defenses.base import Defense
from purification_bench.defenses.errors import UserError

BATCH = 250


class Noise(Defense):
    stochastic = True

    def purify(self, x):
        return (x + 0.05 * torch.randn_like(x)).clamp(0, 1)


def left(model, x, y):
    with torch.no_grad():
        return model(x).argmax(dim=1) == y


def difference(ours, theirs, model, x, y, eps, steps) -> int:
    """Return how many more images of x our attack leaves right than the reference, with equal steps and one start."""
    from pyautoattack import AutoAttack

    reference = AutoAttack(model, attacks=[theirs], eps=eps, seed=0, version="custom")
    reference.verbose = False
    for part in (reference.apgd, reference.apgd_targeted):
        part.n_restarts, part.n_iter = 1, steps
        part.n_iter_2, part.n_iter_min, part.size_decr = (max(1, int(share * steps)) for share in (0.22, 0.06, 0.03))
    found, expected = [], []
    for images, labels in zip(x.split(BATCH), y.split(BATCH), strict=True):
        found.append(left(model, guard.run(ours, model, images, labels, [eps], [0])[0], labels))
        expected.append(left(model, reference.run_standard_evaluation(images, labels, batch_size=BATCH)[0], labels))
    return int(torch.cat(found).sum()) - int(torch.cat(expected).sum())


@pytest.mark.parametrize("eps", [0.1, 0.2])
@pytest.mark.parametrize(("name", "theirs"), [("apgd", "apgd-ce"), ("apgd[loss=dlr]", "apgd-dlr"), ("apgdt", "apgd-t")])
def test_agreement_with_the_reference(name, theirs, eps, mnist):
    """20 steps, other random starts: at most 4 of 100 verdicts' difference in count."""
    images, model = mnist
    ours = ATTACKS.create(ATTACKS.spec(name, steps=20))
    assert abs(difference(ours, theirs, model, images.x[:100], images.y[:100], eps, 20)) <= 4


@pytest.mark.slow
@pytest.mark.parametrize(("classifier", "eps"), [("model_a", 0.1), ("model_a_at", 0.3)])
@pytest.mark.parametrize(("name", "theirs"), [("apgd", "apgd-ce"), ("apgdt", "apgd-t")])
def test_agreement_with_the_reference_at_its_settings(name, theirs, classifier, eps):
    """100 steps, 500 images: within a point."""
    dataset = DATASETS.create("mnist")
    model, _ = load_classifier(CLASSIFIERS.spec(classifier), dataset, torch.device("cpu"), [SHIPPED_ZOO])
    x, y = dataset.judged(500)
    found = difference(ATTACKS.create(name), theirs, model, x, y, eps, 100)
    print(f"{name} on {classifier} at {eps:g}: {found:+d} of 500")
    assert abs(found) <= 5


def test_what_it_does_not_break_is_no_clean_image(mnist):
    """torchattacks' own call returns the clean image there, which would say nothing about another model."""
    images, model = mnist
    x, y = images.x[:40], images.y[:40]
    (found,) = guard.run(ATTACKS.create("apgd[steps=10]"), model, x, y, [0.05], [0])
    stands = left(model, found, y)
    assert bool(stands.any())
    assert bool(((found - x).flatten(1).abs().amax(dim=1) > 0.02).all())


def test_under_expectation_all_copies_of_an_image_have_one_target(mnist, monkeypatch):
    """A target chosen on each copy's own draw would let the copies pull in different directions."""
    images, classifier = mnist
    goals = []
    loss = apgd_module.targeted_dlr
    monkeypatch.setattr(apgd_module, "targeted_dlr", lambda *given: goals.append(given[2]) or loss(*given))
    model = view("whitebox", classifier, Noise(), 0)
    guard.run(ATTACKS.create("apgdt[steps=2,targets=2]"), model, images.x[:8], images.y[:8], [0.1], [0], samples=4)
    assert len({tuple(found.tolist()) for found in goals}) == 2
    assert all((copies == copies[0]).all() for copies in (found.unflatten(0, (4, 8)) for found in goals))


def test_of_a_random_model_no_lucky_draw_ends_the_restarts(mnist):
    images, classifier = mnist
    x, y = images.x[:8], images.y[:8]
    model = Counted(view("whitebox", classifier, Noise(), 0))
    attack = ATTACKS.create("apgd[steps=3,restarts=4]")
    guard.run(attack, model, x, y, [1.0], [0])
    assert model.queries >= 4 * 3 * len(x)


def test_of_a_random_model_ten_draws_of_their_own_choose_among_the_ends_of_stretches(mnist):
    images, classifier = mnist
    looked = []

    class Seen(Noise):
        def purify(self, x):
            if not torch.is_grad_enabled():
                looked.append(len(x))
            return super().purify(x)

    guard.run(
        ATTACKS.create("apgd[steps=20]"),
        view("whitebox", classifier, Seen(), 0),
        images.x[:5],
        images.y[:5],
        [0.2],
        [0],
    )
    ends = len(ends_of_stretches(20)) + 2
    assert sum(looked) == 10 * ends * 5


def test_stretches_are_those_of_the_paper():
    assert sorted(ends_of_stretches(100)) == [22, 41, 57, 70, 80, 87, 93, 99]


@pytest.mark.parametrize("loss", [dlr, lambda logits, y: targeted_dlr(logits, y, (y + 1) % 5)])
def test_the_ratio_of_differences_knows_no_scale(loss):
    torch.manual_seed(0)
    logits, y = torch.randn(7, 5), torch.randint(5, (7,))
    assert torch.allclose(loss(logits, y), loss(10 * logits, y), atol=1e-5)
    if loss is dlr:
        assert bool(((dlr(logits, y) > 0) == (logits.argmax(dim=1) != y)).all())


def test_an_unknown_loss_is_refused():
    with pytest.raises(UserError, match="'cw'"):
        ATTACKS.create("apgd[loss=cw]")


def test_the_ensemble_breaks_what_its_parts_break(mnist):
    images, model = mnist
    x, y = images.x[:12], images.y[:12]
    ensemble = ATTACKS.create("autoattack")
    assert ensemble.check(0.1) is None
    (found,) = guard.run(ensemble, model, x, y, [0.2], [0])
    (part,) = guard.run(ATTACKS.create("apgd[steps=20]"), model, x, y, [0.2], [0])
    assert int(left(model, found, y).sum()) <= int(left(model, part, y).sum())


def test_the_randomised_ensemble_takes_the_draws_of_the_expectation(mnist, monkeypatch):
    images, classifier = mnist
    x, y = images.x[:4], images.y[:4]
    model = view("whitebox", classifier, Noise(), 0)
    monkeypatch.setattr("purification_bench.attacks.autoattack.QUERIES", 20)
    (found,) = guard.run(ATTACKS.create("autoattack"), model, x, y, [0.3], [0], samples=2)
    assert int(left(model, found, y).sum()) <= 1


@pytest.mark.parametrize("samples", [1, 3])
def test_of_a_random_model_square_joins_the_ensemble_and_no_image_stays_clean(samples, mnist, monkeypatch):
    images, classifier = mnist
    x, y = images.x[:3], images.y[:3]
    asked = []
    for queries in (30, 60):
        monkeypatch.setattr("purification_bench.attacks.autoattack.QUERIES", queries)
        model = Counted(view("whitebox", classifier, Noise(), 0))
        (found,) = guard.run(ATTACKS.create("autoattack"), model, x, y, [0.02], [0], samples=samples)
        assert bool(((found - x).flatten(1).abs().amax(dim=1) > 0.01).all())
        asked.append(model.queries)
    assert asked[1] - asked[0] >= 29 * samples  # an image whose mean logits are wrong asks no more


def test_without_its_package_the_ensemble_names_the_extra(monkeypatch):
    monkeypatch.setattr("purification_bench.attacks.autoattack.find_spec", lambda _: None)
    with pytest.raises(UserError, match=r"purification-bench\[autoattack\]"):
        ATTACKS.create("autoattack").check(0.1)
