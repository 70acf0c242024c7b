"""Does a defense keep to its contract? What the audit wants to know of it, from a few clean images."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor

from purification_bench.attacks.seeding import seeded
from purification_bench.benchmark.run.judge import Judge
from purification_bench.benchmark.seeds import keyed_seed
from purification_bench.defenses.base import Defense
from purification_bench.defenses.faults import FAULTS

IMAGES = 16
"""Images that the passes are made over."""
ROUNDING = 1e-3
"""Pixel difference from which on two passes are said to differ: sums in another order stay far below."""


@torch.no_grad()
def probe(judge: Judge, x: Tensor) -> dict[str, bool | float]:
    """Purify the first images of ``x`` again, one thing changed at a time, under the same random numbers.

    Returns
    -------
    forward_agreement:
        A pass under *other* random numbers gives the same bits: the defense is deterministic.
    differs_by_neighbours, differs_with_gradients, differs_in_train_mode, differs_when_called_again:
        Shares of images whose purified pixels change when the rest of the batch does, or is gone (the first image's
        alone), when gradients are enabled, in train mode, and in a later call.
    """
    few = x[:IMAGES].to(judge.device)
    first = purified(judge, few)
    others = torch.cat([few[:1], few[1:].flip(-1)])
    found: dict[str, bool | float] = {
        "forward_agreement": first is not None and torch.equal(first, judge.purify(few, 0, 0)),
        "differs_by_neighbours": differing(_first(first), _first(purified(judge, others))),
    }
    if not judge.stochastic:  # in a smaller batch a stochastic defense draws other noise
        alone = differing(_first(first), purified(judge, few[:1]))
        found["differs_by_neighbours"] = max(found["differs_by_neighbours"], alone)
    with torch.enable_grad():
        seen = few.clone().requires_grad_(judge.defense.differentiable)
        found["differs_with_gradients"] = differing(first, purified(judge, seen))
    twin = deepcopy(judge.defense).train()  # batch norm would change the statistics of the defense itself
    found["differs_in_train_mode"] = differing(first, purified(judge, few, twin))
    found["differs_when_called_again"] = differing(first, purified(judge, few))
    return found


def purified(judge: Judge, x: Tensor, defense: Defense | None = None) -> Tensor | None:
    """Purify once; None where that raises, which by itself is a difference."""
    with seeded(keyed_seed("consistency", judge.label, judge.seed), judge.device):
        try:
            return (defense or judge.defense).purify(x.clone()).detach()
        except FAULTS:
            return None


def _first(images: Tensor | None) -> Tensor | None:
    return None if images is None else images[:1]


def differing(first: Tensor | None, second: Tensor | None) -> float:
    """Return the share of images whose pixels differ by more than rounding; 1 where one pass gave none."""
    if first is None or second is None:
        return 1.0
    return float(((first - second).flatten(1).abs().amax(dim=1) > ROUNDING).float().mean())
