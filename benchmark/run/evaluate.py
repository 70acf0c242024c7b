"""Judging: purify, classify, count. What a purifier returns is checked before it is believed."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from purification_bench.attacks.seeding import seeded
from purification_bench.benchmark.environment import synchronise
from purification_bench.benchmark.keys import keyed_seed
from purification_bench.defenses.base import Defense
from purification_bench.leaderboard.results.verdicts import Verdicts

ROUNDING = 1e-6
"""How far beyond [0, 1] rounding may carry a purified pixel."""


class DefenseError(RuntimeError):
    """A defense returned something that is no batch of images."""


@dataclass
class Judge:
    """A defense before a classifier, ready to judge images.

    The defense's random numbers are keyed by (defense, draw, first image of the batch, seed), so a cell's verdicts do
    not depend on which other cells were computed, or when.
    """

    defense: Defense
    classifier: nn.Module
    label: str
    stochastic: bool
    draws: int
    seed: int
    batch: int
    device: torch.device
    box: bool = True
    """Purified images must lie in [0, 1]."""
    seconds: dict[str, float] = field(default_factory=lambda: {"purify": 0.0, "classify": 0.0})
    first_batch: Tensor | None = None
    """The first images judged last, as they were purified then."""

    def verdicts(self, x: Tensor, y: Tensor, advance: Callable[[int], None] = lambda _: None) -> Verdicts:
        """Return how often each image is classified right; ``advance`` is told of every batch done."""
        chosen = self._count(x, y, range(self.draws), advance)
        if not self.stochastic:
            return Verdicts(1, chosen, chosen)
        return Verdicts(self.draws, chosen, self._count(x, y, range(self.draws, 2 * self.draws), advance))

    @torch.no_grad()
    def purify(self, x: Tensor, start: int, draw: int) -> Tensor:
        """Purify one batch whose first image is number ``start``; raise ``DefenseError`` for what is no image."""
        given = x.to(self.device)
        with seeded(keyed_seed("defense", self.label, draw, start, self.seed), self.device):
            purified = self.defense.purify(given.clone())
        check_purified(given, purified, self.box)
        return purified

    @property
    def passes(self) -> int:
        """How often each image is purified for its verdict."""
        return 2 * self.draws if self.stochastic else 1

    @torch.no_grad()
    def _count(self, x: Tensor, y: Tensor, draws: range, advance: Callable[[int], None]) -> np.ndarray[Any, Any]:
        right = torch.zeros(len(y), dtype=torch.uint8)
        for draw in draws:
            for start in range(0, len(y), self.batch):
                part = slice(start, start + self.batch)
                begun = time.perf_counter()
                purified = self.purify(x[part], start, draw)
                if draw == start == 0:
                    self.first_batch = purified
                synchronise(self.device)
                purified_at = time.perf_counter()
                with seeded(keyed_seed("classifier", draw, start, self.seed), self.device):
                    predicted = self.classifier(purified).argmax(dim=1).cpu()
                right[part] += predicted == y[part]
                self.seconds["purify"] += purified_at - begun
                self.seconds["classify"] += time.perf_counter() - purified_at
                advance(len(predicted))
        return right.numpy()


def check_purified(x: Tensor, purified: Any, box: bool = True) -> None:
    """Raise ``DefenseError`` unless ``purified`` is a batch of images like ``x``."""
    if not isinstance(purified, Tensor):
        raise DefenseError(f"purify returned {type(purified).__name__}, not a tensor")
    if purified.shape != x.shape:
        raise DefenseError(f"purify returned shape {tuple(purified.shape)} for images of shape {tuple(x.shape)}")
    if purified.dtype != x.dtype:
        raise DefenseError(f"purify returned {purified.dtype} for {x.dtype}")
    broken = int((~torch.isfinite(purified)).flatten(1).any(dim=1).sum())
    if broken:
        raise DefenseError(f"purify returned NaN or infinite values in {broken} of {len(x)} images")
    low, high = float(purified.min()), float(purified.max())
    if box and (low < -ROUNDING or high > 1 + ROUNDING):
        raise DefenseError(f"purify returned values outside [0, 1]: from {low:g} to {high:g}")
