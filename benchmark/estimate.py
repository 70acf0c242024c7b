"""How long a plan would take, from a short probe of this machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from attacks.guard import seeded
from attacks.probes import gradient_shares
from benchmark.environment import synchronise
from benchmark.grid import Cell, Group, Plan, Subject
from benchmark.latency import MAX_CALLS, MAX_SECONDS, MIN_CALLS, WARM_UP

PROBE_IMAGES = 50
SLOW = 0.05
"""Seconds for one image from which on a defense is probed with few."""


def seconds(plan: Plan, missing: Sequence[Cell], device: torch.device) -> float:
    """Return the estimated seconds for the cells in ``missing``."""
    due = {cell.key for cell in missing}
    total = 0.0
    for group in plan.groups:
        cells = [cell for cell in group.cells if cell.key in due]
        if cells:
            total += _group_seconds(group, cells, device)
    return total


def _group_seconds(group: Group, cells: Sequence[Cell], device: torch.device) -> float:
    x, y = (part[:PROBE_IMAGES].to(device) for part in group.images)
    n = len(group.images.y)
    gradient = _timed(lambda: gradient_shares(group.classifier, x, y), device) / len(y)
    total = 0.0
    for attack, sizes in group.attacks().values():
        used = [eps for eps in sizes if any(cell.attack is attack and cell.eps == eps for cell in cells)]
        runs = min(1, len(used)) if attack.shares_sizes else len(used)
        total += n * gradient * attack.gradients_per_image * runs
    for subject in {cell.subject.spec.label: cell.subject for cell in cells}.values():
        if subject.defense is not None:
            total += _defense_seconds(group, subject, [cell for cell in cells if cell.subject is subject], x, device)
    return total


def _defense_seconds(group: Group, subject: Subject, cells: Sequence[Cell], x: Tensor, device: torch.device) -> float:
    def purify_and_classify(images: Tensor) -> float:
        return _timed(lambda: _judge(group, subject.defense, images), device)

    single = purify_and_classify(x[:1])
    few = x if single < SLOW else x[:4]
    one = purify_and_classify(few) / len(few)
    passes = 2 * subject.draws if subject.facts["stochastic"] else 1
    judged = 1 + sum(cell.attack is not None for cell in cells)
    total = one * len(group.images.y) * passes * judged
    for cell in cells:
        if cell.kind == "latency":
            calls = min(MAX_CALLS, max(MIN_CALLS, MAX_SECONDS / single)) + WARM_UP
            total += 2 * single * calls + 3 * one * cell.identity["batch"]
    return total


@torch.no_grad()
def _judge(group: Group, defense: Any, x: Tensor) -> None:
    with seeded(0, x.device):
        try:
            group.classifier(defense.purify(x.clone()))
        except Exception:  # a failing defense costs nothing, and its rows will say why
            return


def _timed(call: Callable[[], Any], device: torch.device) -> float:
    call()
    begun = time.perf_counter()
    call()
    synchronise(device)
    return time.perf_counter() - begun
