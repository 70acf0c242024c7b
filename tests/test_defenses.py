"""The contract of a defense, over every registered one; what a defense declares is what is measured."""

from __future__ import annotations

import pytest
import torch
from conftest import DOWNLOADED, SHORT, shipped_or_untrained

from purification_bench.attacks.seeding import seeded
from purification_bench.benchmark.registries import DATASETS, DEFENSES
from purification_bench.defenses import DefendedClassifier

CPU = torch.device("cpu")
BUILT_IN = [
    name for name, entry in DEFENSES.entries().items() if entry.provider == "built-in" and name not in DOWNLOADED
]


@pytest.fixture(scope="module", params=BUILT_IN)
def defense(request):
    return shipped_or_untrained(SHORT.get(request.param, request.param))


@pytest.fixture(scope="module")
def x():
    return DATASETS.create("mnist").judged(16).x


def purify(defense, x, seed=0):
    with torch.no_grad(), seeded(seed, CPU):
        return defense.purify(x.clone())


def test_images_in_images_out(defense, x):
    purified = purify(defense, x)
    assert purified.shape == x.shape
    assert purified.dtype == torch.float32
    assert float(purified.min()) >= 0
    assert float(purified.max()) <= 1


def test_the_same_values_with_and_without_gradients(defense, x):
    with seeded(0, CPU):
        purified = defense.purify(x.clone())
    assert torch.allclose(purified.detach(), purify(defense, x), atol=1e-6)


def test_stochastic_means_that_two_passes_differ(defense, x):
    assert defense.stochastic == (not torch.equal(purify(defense, x, 0), purify(defense, x, 1)))


def test_differentiable_means_a_gradient_that_is_not_zero(defense, x):
    leaf = x.clone().requires_grad_()
    with seeded(0, CPU):
        purified = defense.purify(leaf)
    gradient = None
    if purified.requires_grad:
        gradient = torch.autograd.grad(purified.square().sum(), leaf, allow_unused=True)[0]
    assert defense.differentiable == (gradient is not None and bool(gradient.any()))


def test_an_image_does_not_depend_on_its_neighbours(defense, x):
    others = torch.rand_like(x)
    others[3] = x[3]
    assert torch.allclose(purify(defense, x)[3], purify(defense, others)[3], atol=1e-5)


def test_values_do_not_depend_on_gradients_being_enabled(defense, x):
    with seeded(0, CPU):
        with_gradients = defense.purify(x.clone()).detach()
    assert torch.allclose(purify(defense, x), with_gradients, atol=1e-6)


def test_it_purifies_in_inference_mode(defense, x):
    with torch.inference_mode(), seeded(0, CPU):
        purified = defense.purify(x.clone())
    assert torch.allclose(purified, purify(defense, x), atol=1e-6)


def test_only_torchs_default_generator_is_drawn_from(defense, x):
    assert torch.equal(purify(defense, x, 3), purify(defense, x, 3))


def test_the_surrogate_keeps_the_shape(defense, x):
    assert defense.surrogate(x).shape == x.shape


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (3, 48, 40)])
@pytest.mark.parametrize("name", BUILT_IN)
def test_other_sizes_and_channels_are_admitted(name, shape):
    defense = DEFENSES.create(SHORT.get(name, name))
    defense.build(shape, 10)
    assert defense.eval().purify(torch.rand(2, *shape)).shape == (2, *shape)


def test_the_defended_classifier_classifies_what_was_purified(shapes):
    images, classifier = shapes
    whole = DefendedClassifier(classifier, DEFENSES.create("binarize"))
    assert torch.equal(whole(images.x), classifier((images.x > 0.5).float()))


def test_the_cae_has_the_papers_layers():
    defense = DEFENSES.create("cae")
    defense.build((1, 28, 28), 10)
    with torch.no_grad():
        assert defense.encode(torch.rand(2, 1, 28, 28)).shape == (2, 10)
    weights = [tuple(p.shape) for p in defense.encoder.parameters() if p.ndim > 1]
    assert weights == [(8, 1, 3, 3), (16, 8, 3, 3), (32, 16, 3, 3), (128, 288), (10, 128)]


def test_a_cae_without_noise_says_that_it_is_deterministic():
    assert DEFENSES.create("cae").stochastic
    assert not DEFENSES.create("cae[noise=0]").stochastic
