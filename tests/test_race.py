"""The race of candidates: its gradient, and that it breaks what chooses the nearest image."""

from __future__ import annotations

import re

import pytest
import torch
from torch import nn

from purification_bench import load_defense
from purification_bench.attacks import guard, views
from purification_bench.attacks.race import Race
from purification_bench.attacks.seeding import seeded
from purification_bench.benchmark.facts import of_defense
from purification_bench.benchmark.registries import ATTACKS
from purification_bench.defenses.base import Defense
from purification_bench.defenses.checked import DefenseError
from purification_bench.defenses.errors import UserError

CPU = torch.device("cpu")
CENTRES = torch.tensor([[0.2, 0.2, 0.2, 0.2], [0.2, 0.6, 0.2, 0.6], [0.9, 0.2, 0.9, 0.2]]).view(3, 1, 2, 2)


class Nearest(Defense):
    """The nearest of three images: no gradient leads anywhere, and the identity's is no help."""

    differentiable = False

    def candidates(self, x):
        return CENTRES.expand(len(x), *CENTRES.shape)

    def purify(self, x):
        return CENTRES[(x[:, None] - CENTRES).square().mean(dim=(2, 3, 4)).argmin(dim=1)]


class Labels(nn.Module):
    """The number of the nearest centre, flat but at the boundaries."""

    def forward(self, x):
        near = (x[:, None] - CENTRES.to(x.device)).square().mean(dim=(2, 3, 4)).argmin(dim=1)
        return nn.functional.one_hot(near, 3).float()


@pytest.mark.parametrize("none_of", [None, "wrong", "right"])
def test_it_climbs_the_lead_of_the_nearest_wrong_candidates(none_of):
    torch.manual_seed(0)
    x, images = torch.rand(4, 1, 3, 3), torch.rand(4, 6, 1, 3, 3)
    wrong = torch.rand(4, 6) < 0.5
    wrong[:, 0], wrong[:, 1] = True, False
    wrong = wrong if none_of is None else torch.full_like(wrong, none_of == "right")
    attack, leaf = Race(temperature=0.02), x.clone().requires_grad_()
    distances = (images - leaf[:, None]).square().mean(dim=(2, 3, 4))
    soft = [-0.02 * (-distances / 0.02).masked_fill(~side, -torch.inf).logsumexp(dim=1) for side in (~wrong, wrong)]
    lead = sum(sign * each[each.isfinite()].sum() for sign, each in zip((1, -1), soft, strict=True))
    (gradient,) = torch.autograd.grad(lead, leaf)
    assert torch.allclose(2 / 9 * attack._lead(x, images, wrong), gradient, atol=1e-6)


@pytest.mark.parametrize(("eps", "broken"), [(0.15, False), (0.25, True)])
def test_it_breaks_what_chooses_the_nearest_where_the_ball_allows(eps, broken):
    x, y = CENTRES[:1].clone(), torch.zeros(1, dtype=torch.long)
    model = views.view("choice", Labels(), Nearest())
    (x_adv,) = guard.run(ATTACKS.create("race"), model, x, y, [eps], [0])
    assert bool((model(x_adv).argmax(dim=1) != y).all()) == broken  # half the way to the next centre is .2


@pytest.mark.parametrize(("bound", "broken"), [(0.25, False), (0.35, True)])
def test_in_an_l2_ball_the_nearest_wrong_candidate_wins_where_half_the_way_is_within(bound, broken):
    x, y = CENTRES[:1].clone(), torch.zeros(1, dtype=torch.long)
    model = views.view("choice", Labels(), Nearest())
    (x_adv,) = guard.run(ATTACKS.create(f"race_l2[bound={bound}]"), model, x, y, [bound], [0])
    assert bool((model(x_adv).argmax(dim=1) != y).all()) == broken  # half the way is .2 sqrt(2)


def test_it_stays_in_the_ball_and_the_box_and_repeats():
    torch.manual_seed(0)
    x, y = torch.rand(9, 1, 2, 2), torch.zeros(9, dtype=torch.long)
    model = views.view("choice", Labels(), Nearest())
    first, second = (guard.run(ATTACKS.create("race"), model, x, y, [0.3], [0])[0] for _ in range(2))
    assert torch.equal(first, second) and float((first - x).abs().max()) <= 0.3 + 1e-6
    assert torch.equal(guard.run(ATTACKS.create("race"), model, x, y, [0.0], [0])[0], x)


def test_what_chooses_says_so():
    assert of_defense("defensegan").chooses and of_defense("puvae").chooses
    assert not of_defense("cae").chooses
    with pytest.raises(NotImplementedError, match="Defense does not choose the nearest of several images"):
        Defense().candidates(CENTRES)


@pytest.mark.parametrize(("name", "count"), [("defensegan[steps=3,restarts=4]", 4), ("puvae", 10)])
def test_the_nearest_candidate_is_the_answer(name, count):
    defense, x = load_defense(name, device="cpu"), torch.rand(2, 1, 28, 28)
    with torch.no_grad(), seeded(0, CPU):
        candidates = defense.candidates(x)
    with torch.no_grad(), seeded(0, CPU):
        answer = defense.purify(x)
    assert candidates.shape == (2, count, 1, 28, 28)
    nearest = (candidates - x[:, None]).square().mean(dim=(2, 3, 4)).argmin(dim=1)
    assert torch.allclose(candidates[torch.arange(2), nearest], answer, atol=1e-5)


BAD = [
    (CENTRES, "candidates returned shape (3, 1, 2, 2) for images of shape (1, 1, 2, 2)"),
    (CENTRES[None, :0], "candidates returned shape (1, 0, 1, 2, 2) for images of shape (1, 1, 2, 2)"),
    ([CENTRES], "candidates returned list, not a tensor"),
    (CENTRES[None].double(), "candidates returned torch.float64 for torch.float32"),
    (2 * CENTRES[None], "candidates returned values outside [0, 1]: from 0.4 to 1.8"),
    (CENTRES[None] * torch.nan, "candidates returned NaN or infinite values in 1 of 1 images"),
]


@pytest.mark.parametrize(("given", "why"), BAD, ids=[why for _, why in BAD])
def test_what_is_no_candidate_is_told(given, why):
    class Bad(Nearest):
        def candidates(self, x):
            return given

    model = views.view("choice", Labels(), Bad())
    with pytest.raises(DefenseError, match=re.escape(why) + r" \(test_race\.py, line \d+\)$"):
        guard.run(ATTACKS.create("race"), model, CENTRES[:1], torch.zeros(1, dtype=torch.long), [0.2], [0])


def test_steps_that_cannot_reach_the_ball_are_refused():
    with pytest.raises(UserError, match="raise steps"):
        ATTACKS.create("race[steps=5]").check(0.2)
