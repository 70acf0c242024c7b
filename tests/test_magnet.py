"""MagNet: its layers, its thresholds, what it rejects."""

from __future__ import annotations

import pytest
import torch
from make_training import make_training

from purification_bench.benchmark.registries import DEFENSES


def make(shape=(1, 28, 28), **options):
    torch.manual_seed(0)
    defense = DEFENSES.create(DEFENSES.spec("magnet", **options))
    defense.build(shape, 10)
    return defense.eval()


def test_the_auto_encoders_are_the_authors():
    """3x3 convolutions of three maps: [3, average, 3] and its mirror, [3] and its mirror, each ending in the image."""
    defense = make()
    convolutions = [[tuple(m.weight.shape) for m in part.modules() if isinstance(m, torch.nn.Conv2d)]
                    for part in (defense.reformer, defense.second)]  # fmt: skip
    within = (3, 3, 3, 3)
    assert convolutions == [[(3, 1, 3, 3), within, within, within, (1, 3, 3, 3)], [(3, 1, 3, 3), within, (1, 3, 3, 3)]]


@torch.no_grad()
def test_thresholds_give_up_the_share_of_clean_images_that_is_asked_for(mnist):
    x = mnist[0].x
    trained = make()
    trained.errors.copy_(trained._left_of(x))
    for share in (0.0, 0.1, 0.5):
        defense = make(rejects_clean=share)
        defense.load_state_dict(trained.state_dict())
        left = torch.stack([(defense.purify(x) - x).square().mean(dim=(1, 2, 3)),
                            (defense.second(x) - x).abs().mean(dim=(1, 2, 3))])  # fmt: skip
        exceeding = (left > torch.quantile(left, 1 - share, dim=1, keepdim=True)).any(dim=0)
        assert abs(float(defense.rejects(x).float().mean()) - float(exceeding.float().mean())) < 0.02
    assert not make(detect=False).rejects(x).any()


def test_training_rebuilds_and_rejects_noise_more_than_images(shapes):
    defense = make(tuple(shapes[0].x.shape[1:]), rejects_clean=0.1)
    training, errors = make_training(shapes, epochs=40, batch_size=8), []
    report = training.report
    training.report = lambda score, **metrics: (errors.append(metrics["mse"]), report(score, **metrics))
    defense.fit(training)
    assert min(errors) < 0.7 * errors[0]
    noise = torch.rand_like(shapes[0].x)
    assert defense.rejects(noise).float().mean() > 0.9
    assert defense.rejects(shapes[0].x).float().mean() < 0.5


@pytest.mark.parametrize("storage", ["half", "int8"])
def test_thresholds_are_those_of_the_weights_as_they_are_stored(storage, shapes):
    defense = make(tuple(shapes[0].x.shape[1:]), rejects_clean=0.1)
    defense.fit(make_training(shapes, epochs=3, batch_size=8, storage=storage))
    assert bool((defense.errors[:, -1] > defense.errors[:, 0]).all()) and float(defense.errors.min()) > 0
    assert defense.rejects(shapes[0].x).float().mean() < 0.9
