"""How long a plan would take, from a short probe of this machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from purification_bench.attacks import views
from purification_bench.attacks.probes import gradient_shares
from purification_bench.attacks.seeding import seeded
from purification_bench.benchmark.environment import synchronise
from purification_bench.benchmark.run.cells import Cell, Group, Plan, Subject, by_attack
from purification_bench.benchmark.run.latency import MAX_CALLS, MAX_SECONDS, MIN_CALLS, WARM_UP, WARM_UP_SECONDS

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


def in_words(seconds: float) -> str:
    """Return a duration for people."""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _group_seconds(group: Group, cells: Sequence[Cell], device: torch.device) -> float:
    x, y = (part[:PROBE_IMAGES].to(device) for part in group.images)
    total = sum(_attack_seconds(group, together, x, y, device) for together in by_attack(cells))
    for subject in {cell.subject.spec.label: cell.subject for cell in cells}.values():
        if subject.defense is not None:
            total += _defense_seconds(group, subject, [cell for cell in cells if cell.subject is subject], x, device)
    return total


def _attack_seconds(group: Group, cells: Sequence[Cell], x: Tensor, y: Tensor, device: torch.device) -> float:
    """Return the seconds of one attack at all sizes of ``cells``, which share it."""
    attack, spec, defense = cells[0].attack, cells[0].spec, cells[0].stand_in or cells[0].subject.defense
    if attack is None or spec is None or (spec.sees_defense and defense is None):
        return 0.0
    model: nn.Module = cells[0].substitute or group.classifier
    if spec.sees_defense and defense is not None and attack.needs != "decoder":  # decoding costs next to nothing
        model = views.view(spec.estimator, group.classifier, defense, 0)
        few = 4 if _timed(lambda: _judge(group, defense, x[:1]), device) > SLOW else len(y)
        x, y = x[:few], y[:few]
    if attack.needs == "queries":
        once, times = _timed(lambda: _judge(group, defense, x), device), getattr(attack, "queries", 1)
    else:
        once, times = _timed(lambda: _gradient(model, x, y), device), attack.gradients_per_image
    runs = 1 if attack.shares_sizes and not spec.sees_defense else len({cell.eps for cell in cells})
    return once / len(y) * times * spec.eot_samples * runs * len(group.images.y)


def _gradient(model: nn.Module, x: Tensor, y: Tensor) -> None:
    with seeded(0, x.device):
        try:
            gradient_shares(model, x, y)
        except Exception:  # its rows will say why
            return


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
            calls = min(MAX_CALLS, max(MIN_CALLS, MAX_SECONDS / single))
            total += 2 * single * calls + min(WARM_UP * single, WARM_UP_SECONDS) + 3 * one * cell.identity["batch"]
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
