"""How long a plan would take, from a short probe of this machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import torch

from attacks.guard import seeded
from attacks.probes import gradient_shares
from benchmark.environment import synchronise
from benchmark.grid import Cell, Group, Plan
from benchmark.latency import MAX_CALLS

PROBE_IMAGES = 50


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
        if subject.defense is None:
            continue
        defense = subject.defense
        one = _timed(lambda defense=defense: _judge(group, defense, x), device) / len(y)  # type: ignore[misc]
        mine = [cell for cell in cells if cell.subject is subject]
        passes = 2 * subject.draws if subject.facts["stochastic"] else 1
        judged = 1 + sum(cell.attack is not None for cell in mine)
        total += one * n * passes * judged
        single = _timed(lambda defense=defense: _judge(group, defense, x[:1]), device)  # type: ignore[misc]
        total += sum(2 * single * MAX_CALLS for cell in mine if cell.kind == "latency")
    return total


@torch.no_grad()
def _judge(group: Group, defense: Any, x: torch.Tensor) -> None:
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
