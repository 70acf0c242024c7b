"""The auto-encoder that is trained against an attacker who sees it: what training shows it, and what comes of it."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from make_training import make_training

from purification_bench.benchmark.registries import DEFENSES
from purification_bench.defenses import DefendedClassifier


def make(shapes, **options):
    torch.manual_seed(0)
    defense = DEFENSES.create(DEFENSES.spec("cae_at", **options))
    defense.build(tuple(shapes[0].x.shape[1:]), 4)
    return defense


def test_training_meets_the_attacks_on_both_and_learns_to_withstand_them(shapes):
    """At .2, where PGD breaks what was not trained."""
    defense = make(shapes, against="pgd[steps=3]", eps=0.2)
    training = make_training(shapes, epochs=7, batch_size=4)
    x, y = training.images("validation"), training.labels("validation")
    defended = DefendedClassifier(shapes[1], defense)

    def withstands():
        x_adv = training.attacked(defended, "pgd[steps=20]", 0.2, x, y, judging=0)
        return float((defended(x_adv).argmax(dim=1) == y).float().mean())

    before = withstands()
    met, attacked = [], training.attacked
    training.attacked = lambda model, *args, **how: (met.append((model, *args)), attacked(model, *args, **how))[1]
    defense.fit(training)
    models, attacks, sizes = ([call[k] for call in met] for k in range(3))
    assert all(isinstance(model, DefendedClassifier) and model.defense is defense for model in models)
    assert set(attacks) == {"pgd[steps=3]", "pgd[steps=20]"}
    assert (min(sizes), max(sizes)) == (0.1, 0.2)
    assert before < 0.3 and withstands() > 0.8


def test_a_step_descends_the_loss_that_the_paper_states(shapes):
    """One epoch of one batch, against Adam on the loss written out."""
    images = type(shapes[0])(shapes[0].x[:8], shapes[0].y[:8])
    defense, plain = make(shapes, rebuilding=0.5), make(shapes, rebuilding=0.5)
    training = make_training((images, shapes[1]), epochs=1, batch_size=8)
    met, attacked = [], training.attacked
    training.attacked = lambda *args, **how: (met.append((*args[3:], attacked(*args, **how))), met[-1][-1])[1]
    defense.fit(training)
    x, y, x_adv = met[0]
    optimizer = torch.optim.Adam(plain.parameters(), lr=1e-3)
    purified = plain.purify(x_adv)
    loss = -F.log_softmax(shapes[1](purified), dim=1)[range(8), y].mean() + 0.5 * (purified - x).square().mean()
    loss.backward()
    optimizer.step()
    for trained, expected in zip(defense.parameters(), plain.parameters(), strict=True):
        assert torch.allclose(trained, expected, atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (1, 17, 15)])
def test_images_of_any_size_come_back(shape):
    defense = DEFENSES.create("cae_at")
    defense.build(shape, 10)
    assert defense.purify(torch.rand(2, *shape)).shape == (2, *shape)
