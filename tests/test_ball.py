"""Norm balls: the way in, and the steepest step."""

from __future__ import annotations

import pytest
import torch

from purification_bench.attacks.ball import Ball, lengths

torch.manual_seed(0)
X, MOVED = torch.rand(8, 1, 4, 4), torch.rand(8, 1, 4, 4) * 3 - 1


@pytest.mark.parametrize(("norm", "radius"), [("linf", 0.2), ("l2", 0.7)])
def test_what_is_outside_is_brought_in_and_what_is_inside_stays(norm, radius):
    ball = Ball(radius, norm)
    inside = ball.inside(X, MOVED)
    delta = (inside - X).flatten(1)
    length = delta.abs().amax(dim=1) if norm == "linf" else delta.norm(dim=1)
    assert float(length.max()) <= radius + 1e-6
    assert float(inside.min()) >= 0 and float(inside.max()) <= 1
    assert torch.allclose(ball.inside(X, inside), inside, atol=1e-6)


@pytest.mark.parametrize(("norm", "dual"), [("linf", 1), ("l2", 2)])
def test_no_other_step_of_norm_one_goes_further_along_a_direction(norm, dual):
    direction = torch.randn(8, 1, 4, 4)
    step = Ball(1.0, norm).steepest(direction)
    assert torch.allclose((step * direction).flatten(1).sum(dim=1), direction.flatten(1).norm(dim=1, p=dual), atol=1e-5)


def test_a_direction_of_nothing_leads_nowhere():
    nothing = torch.zeros(2, 1, 4, 4)
    for norm in ("linf", "l2"):
        assert torch.equal(Ball(1.0, norm).steepest(nothing), nothing)
    assert bool((lengths(nothing) > 0).all())
