"""PuVAE: its choice against a plain loop over the labels, its loss against torch's distributions, its training."""

from __future__ import annotations

import contextlib

import pytest
import torch
import torch.nn.functional as F
from make_training import make_training
from torch.distributions import Normal, kl_divergence

from purification_bench.benchmark.registries import DEFENSES
from purification_bench.defenses.errors import UserError
from purification_bench.defenses.puvae import CODE_SCALES, PuVAE


def make(shape=(1, 28, 28), num_classes=10, **options):
    torch.manual_seed(1)
    defense = DEFENSES.create(DEFENSES.spec("puvae", **options))
    defense.build(shape, num_classes)
    with torch.no_grad():  # untrained reconstructions are all grey; these differ from label to label
        for name, value in defense.named_parameters():
            value.mul_(3 if name.endswith("weight") else 1)
    return defense.eval()


@pytest.mark.parametrize("noise", [0.0, 0.1])
@torch.no_grad()
def test_the_choice_is_that_of_a_plain_loop_over_images_and_labels(noise, mnist):
    defense, x = make(noise=noise, code_scale=0.7), mnist[0].x[:12]
    torch.manual_seed(0)
    draws = torch.randn(12, 10, 32)
    expected, chosen = [], []
    for i in range(12):
        candidates = []
        for k in range(10):
            label = F.one_hot(torch.tensor([k]), 10).float()
            mean, deviation = defense.posterior(defense.features(x[i : i + 1]), label)
            candidates.append(defense.reconstruct(0.7 * mean + noise * deviation * draws[i, k], label)[0])
        chosen.append(min(range(10), key=lambda k: float((candidates[k] - x[i]).square().mean().sqrt())))
        expected.append(candidates[chosen[-1]])
    torch.manual_seed(0)
    assert torch.allclose(defense.purify(x), torch.stack(expected), atol=1e-5)
    assert len(set(chosen)) > 1, "one label for all images would prove little"


def test_the_features_of_an_image_are_computed_once(mnist, monkeypatch):
    defense, sizes = make(), []
    features = defense.features.forward
    monkeypatch.setattr(defense.features, "forward", lambda x: (sizes.append(len(x)), features(x))[1])
    defense.purify(mnist[0].x[:7])
    assert sizes == [7]


def test_without_noise_it_is_deterministic(mnist):
    x = mnist[0].x[:4]
    assert make().stochastic
    quiet = make(noise=0.0)
    assert not quiet.stochastic
    assert torch.equal(quiet.purify(x), quiet.purify(x))


class Context:
    """What the loss asks of a training."""

    autocast = staticmethod(contextlib.nullcontext)

    def __init__(self, classifier):
        self.classifier = classifier


def test_the_terms_of_the_loss_are_the_textbooks(shapes):
    images, classifier = shapes
    defense = make((3, 32, 32), 4, corruption=0.0, wrong_labels=0.0)
    torch.manual_seed(0)
    with torch.no_grad():
        reconstruction, divergence, cross_entropy = defense._terms(images.x, images.y, Context(classifier))
        labels = F.one_hot(images.y, 4).float()
        mean, deviation = defense.posterior(defense.features(images.x), labels)
        torch.manual_seed(0)
        rebuilt = defense.reconstruct(mean + deviation * torch.randn_like(mean), labels)
        expected = F.binary_cross_entropy(rebuilt.double().clamp(1e-12, 1 - 1e-12), images.x.double(), reduction="sum")
    assert float(reconstruction) == pytest.approx(float(expected) / len(images.x), rel=1e-4)
    assert torch.allclose(divergence, kl_divergence(Normal(mean, deviation), Normal(0.0, 1.0)).mean(), rtol=1e-4)
    assert torch.allclose(cross_entropy, F.cross_entropy(classifier(rebuilt), images.y), rtol=1e-4)


def test_wrong_labels_add_their_own_divergence_and_cross_entropy_and_no_reconstruction(shapes, monkeypatch):
    images, classifier = shapes
    defense, drawn, decoded = make((3, 32, 32), 4, corruption=0.0, wrong_labels=0.5), [], PuVAE._decoded

    def recorded(self, features, y, context):
        result = decoded(self, features, y, context)
        drawn.append((y, result))
        return result

    monkeypatch.setattr(PuVAE, "_decoded", recorded)
    with torch.no_grad():
        terms = defense._terms(images.x, images.y, Context(classifier))
    (right, (rebuilt, *of_right)), (wrong, (_, *of_wrong)) = drawn
    assert torch.equal(right, images.y)
    assert not (wrong == images.y).any() and set(wrong.tolist()) == set(range(4))
    expected = F.binary_cross_entropy_with_logits(rebuilt, images.x, reduction="sum") / len(images.x)
    assert torch.allclose(
        terms, torch.stack([expected, *(a + 0.5 * b for a, b in zip(of_right, of_wrong, strict=True))])
    )


def test_it_learns(shapes):
    torch.manual_seed(0)
    defense = DEFENSES.create("puvae")
    defense.build((3, 32, 32), 4)
    training = make_training(shapes, epochs=10, batch_size=8)
    defense.fit(training)
    history = training.progress.history
    assert history[-1]["reconstruction"] < history[0]["reconstruction"]
    assert training.best["accuracy"] > 0.5
    assert all(parameter.grad is None for parameter in training.classifier.parameters())


def test_the_scale_that_training_chose_is_kept_with_the_weights_and_used(mnist):
    x = mnist[0].x[:4]
    chosen = make(noise=0.0)
    chosen.chosen_scale.fill_(0.5)
    again, asked = make(noise=0.0), make(noise=0.0, code_scale=0.5)
    again.load_state_dict(chosen.state_dict())
    assert torch.equal(again.purify(x), asked.purify(x))
    assert not torch.equal(again.purify(x), make(noise=0.0).purify(x))


@pytest.mark.parametrize(
    ("clean", "attacked", "expected"),
    [
        ((0.90, 0.90, 0.90, 0.90, 0.90, 0.90), (0.1, 0.2, 0.4, 0.3, 0.2, 0.1), 0.8),
        ((0.90, 0.89, 0.88, 0.86, 0.84, 0.80), (0.1, 0.2, 0.3, 0.4, 0.5, 0.6), 0.7),
        ((0.90, 0.80, 0.80, 0.80, 0.80, 0.80), (0.1, 0.2, 0.3, 0.4, 0.5, 0.6), 1.0),
    ],
)
def test_the_scale_is_the_best_under_attack_that_can_be_afforded(clean, attacked, expected, monkeypatch):
    class Parts:
        def images(self, split):
            return "clean"

        def adversarial(self, attack, eps, split):
            assert (attack, eps, split) == ("fgsm", 0.3, "validation")
            return "attacked"

    tables = {"clean": clean, "attacked": attacked}
    monkeypatch.setattr(PuVAE, "_accuracy", lambda self, c, x, scale, noise: tables[x][CODE_SCALES.index(scale)])
    assert make()._choose_scale(Parts()) == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [("latent_dim=0", "latent_dim must be at least 1, not 0"), ("noise=-1", "noise must not be negative, got -1")],
)
def test_bad_options_are_told(options, message):
    with pytest.raises(UserError, match=message):
        DEFENSES.create(f"puvae[{options}]")
