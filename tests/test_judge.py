"""Judging: fresh draws, keyed noise, the probes."""

from __future__ import annotations

import pytest
import torch

from purification_bench.attacks.traces import AttackProbe, gradient_shares
from purification_bench.benchmark.run.judge import Judge
from purification_bench.defenses import Defense
from purification_bench.defenses.checked import DefenseError, check_purified
from purification_bench.defenses.none import NoDefense

CPU = torch.device("cpu")


class Noisy(Defense):
    """Adds noise."""

    stochastic = True

    def purify(self, x):
        return 0.98 * torch.rand_like(x) + 0.02 * x


def judge(shapes, defense, draws=1, batch=16, label="d"):
    return Judge(defense, shapes[1], label, defense.stochastic, draws, 0, batch, CPU)


def test_a_deterministic_defense_has_one_draw(shapes):
    images, classifier = shapes
    found = judge(shapes, NoDefense()).judge(images.x, images.y).verdicts
    expected = classifier(images.x).argmax(dim=1) == images.y
    assert found.draws == 1
    assert (found.reported.astype(bool) == expected.numpy()).all()


def test_draws_for_choosing_and_reporting_are_independent(shapes):
    images, _ = shapes
    found = judge(shapes, Noisy(), draws=6).judge(images.x, images.y).verdicts
    assert found.chosen.max() <= 6
    assert (found.chosen != found.reported).any()


def test_even_one_draw_of_a_stochastic_defense_is_reported_on_a_fresh_one(shapes):
    images, _ = shapes
    found = judge(shapes, Noisy(), draws=1).judge(images.x, images.y).verdicts
    assert (found.chosen != found.reported).any()


def test_noise_is_keyed_by_defense_draw_and_batch(shapes):
    x = shapes[0].x[:4]
    one = judge(shapes, Noisy())
    assert torch.equal(one.purify(x, 0, 0), judge(shapes, Noisy()).purify(x, 0, 0))
    for other in (one.purify(x, 0, 1), one.purify(x, 16, 0), judge(shapes, Noisy(), label="e").purify(x, 0, 0)):
        assert not torch.equal(one.purify(x, 0, 0), other)


def test_the_first_batch_is_kept_as_it_was_judged(shapes):
    images, _ = shapes
    one = judge(shapes, Noisy(), draws=2)
    judgement = one.judge(images.x, images.y)
    assert torch.equal(judgement.purified, one.purify(images.x[:16], 0, 0))


def test_the_callers_generator_is_left_alone(shapes):
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    judge(shapes, Noisy()).judge(*shapes[0])
    assert torch.equal(torch.rand(2), expected)


def test_a_purifier_that_writes_into_its_input_harms_nobody(shapes):
    class InPlace(Defense):
        def purify(self, x):
            return x.zero_()

    images, _ = shapes
    kept = images.x.clone()
    judge(shapes, InPlace()).judge(images.x, images.y)
    assert torch.equal(images.x, kept)


@pytest.mark.parametrize("purified", [torch.full((2, 1, 2, 2), 1 + 5e-7), torch.zeros(2, 1, 2, 2)])
def test_rounding_is_allowed(purified):
    check_purified(torch.zeros(2, 1, 2, 2), purified)


def test_doubles_are_refused():
    with pytest.raises(DefenseError, match="float64"):
        check_purified(torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 2, 2, dtype=torch.float64))


def test_the_probe_sums_what_an_attack_did(shapes):
    images, classifier = shapes
    probe = AttackProbe()
    worse = (images.x + 0.3 * (images.x.flip(-1) - images.x)).clamp(0, 1)
    probe.add(classifier, images.x, worse, images.y, "linf")
    probe.add(classifier, images.x, images.x, images.y, "linf")
    found = probe.to_json()
    assert found["objective_after"] > found["objective_before"]
    assert 0 < found["objective_improved_share"] <= 0.5
    assert found["largest_distance"] == pytest.approx(float((worse - images.x).abs().max()))


def test_zero_gradients_are_counted(shapes):
    images, classifier = shapes
    assert gradient_shares(classifier, images.x, images.y) == (0, 0)
    flat = torch.nn.Sequential(torch.nn.Threshold(2.0, 0.0), classifier)
    assert gradient_shares(flat, images.x, images.y) == (40, 0)
