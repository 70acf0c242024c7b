"""The search of a decoder's code."""

from __future__ import annotations

import pytest
import torch

from purification_bench.attacks import guard, views
from purification_bench.benchmark.assets.loading import load_defense
from purification_bench.benchmark.paths import SHIPPED_ZOO
from purification_bench.benchmark.registries import ATTACKS, CLASSIFIERS, DATASETS, DEFENSES
from purification_bench.defenses.base import DefendedClassifier, Defense, decodes

DECODERS = ["cae", "puvae", "defensegan[steps=25,restarts=2]"]


def shipped(name):
    dataset = DATASETS.create("mnist")
    target = CLASSIFIERS.spec("model_a")
    return load_defense(DEFENSES.spec(name), dataset, target, torch.device("cpu"), [SHIPPED_ZOO])[0]


@pytest.mark.parametrize("name", DECODERS)
def test_a_code_decodes_to_an_image_near_the_one_it_is_of(name, mnist):
    defense, x = shipped(name), mnist[0].x[:8]
    with torch.no_grad():
        images = defense.decode(defense.encode(x))
    assert images.shape == x.shape
    assert float((images - x).square().mean()) < float((x.flip(0) - x).square().mean()) / 2


class Anything(Defense):
    """A decoder that can make every image: to search its code is to search all images."""

    def encode(self, x):
        return x.flatten(1)

    def decode(self, z):
        return z.view(-1, 1, 28, 28)

    def purify(self, x):
        return x


def test_where_the_decoder_makes_everything_the_search_is_an_attack_on_the_classifier(mnist):
    images, classifier = mnist
    x, y = images.x[:30], images.y[:30]
    attack = ATTACKS.create("latent[steps=60,targets=3]")
    (x_adv,) = guard.run(attack, views.view("latent", classifier, Anything(), 0), x, y, [0.3], [0])
    with torch.no_grad():
        assert float((classifier(x_adv).argmax(dim=1) == y).float().mean()) < 0.2


def test_steps_in_pixels_break_an_auto_encoder_that_the_code_alone_does_not(mnist):
    """What it decodes is an adversarial image, but its own encoder takes the clipped one for another code."""
    images, classifier = mnist
    x, y = images.x[:12], images.y[:12]
    defended = DefendedClassifier(classifier, shipped("cae[against=pgd,eps=0.15]"))
    left = []
    for pixel_steps in (0, 20):
        attack = ATTACKS.create(f"latent[steps=30,targets=2,pixel_steps={pixel_steps}]")
        (x_adv,) = guard.run(attack, views.view("latent", classifier, defended.defense, 0), x, y, [0.3], [0])
        with torch.no_grad():
            left.append(float((defended(x_adv).argmax(dim=1) == y).float().mean()))
    assert left[1] < left[0] - 0.2


def test_in_an_l2_ball_it_is_an_attack_on_the_classifier_too(mnist):
    images, classifier = mnist
    x, y = images.x[:30], images.y[:30]
    attack = ATTACKS.create("latent_l2[bound=3,steps=60,targets=3]")
    (x_adv,) = guard.run(attack, views.view("latent", classifier, Anything(), 0), x, y, [3.0], [0])
    with torch.no_grad():
        assert float((classifier(x_adv).argmax(dim=1) == y).float().mean()) < 0.2


@pytest.mark.parametrize("name", DECODERS)
def test_the_search_of_a_shipped_decoder_changes_what_it_makes(name, mnist):
    images, classifier = mnist
    x, y = images.x[:8], images.y[:8]
    model = views.view("latent", classifier, shipped(name), 0)
    (x_adv,) = guard.run(ATTACKS.create("latent[steps=10,targets=1,pixel_steps=1]"), model, x, y, [0.3], [0])
    assert bool(((x_adv - x).abs().flatten(1).amax(dim=1) > 0.05).all())


def test_a_transform_decodes_nothing():
    assert decodes(DEFENSES.get("cae"))
    assert not decodes(DEFENSES.get("median"))
    with pytest.raises(NotImplementedError, match="no latent code"):
        Defense().encode(torch.zeros(1, 1, 28, 28))
