"""Judging: purify, classify, count. What a purifier returns is checked before it is believed."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from purification_bench.attacks.seeding import seeded
from purification_bench.benchmark.environment import synchronise
from purification_bench.benchmark.run.profile import Profile
from purification_bench.benchmark.run.progress import Advance
from purification_bench.benchmark.seeds import keyed_seed
from purification_bench.defenses.base import Defense, detects
from purification_bench.defenses.checked import DefenseError, check_purified, check_rejected
from purification_bench.defenses.plain import where_defined
from purification_bench.leaderboard.results.verdicts import Verdicts


@dataclass(frozen=True)
class Judgement:
    """What judging a set of images gave."""

    verdicts: Verdicts
    seconds: dict[str, float]
    """Spent in ``purify`` and in ``classify``."""
    purified: Tensor
    """The first batch as the first draw purified it."""
    rejected: float | None = None
    """Share of images, in the mean over draws, that the defense refused; None: it refuses none."""

    @property
    def probes(self) -> dict[str, float]:
        """What the audit and the page want to know besides."""
        return {} if self.rejected is None else {"rejected_share": self.rejected}


@dataclass(frozen=True)
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
    profile: Profile = field(default_factory=Profile, repr=False)

    def judge(self, x: Tensor, y: Tensor, advance: Advance = lambda _: None) -> Judgement:
        """Count how often each image is classified right; ``advance`` is told of every batch done."""
        clock = _Clock(self.device, self.profile)
        chosen = self._count(x, y, range(self.draws), clock, advance)
        again = range(self.draws, 2 * self.draws)
        reported = self._count(x, y, again, clock, advance) if self.stochastic else chosen
        rejected = None
        if self.detects and len(y):
            rejected = (chosen.rejected + reported.rejected) / (2 * self.draws * len(y))
        verdicts = Verdicts(self.draws, chosen.right, reported.right)
        return Judgement(verdicts, clock.seconds, chosen.purified, rejected)

    @torch.no_grad()
    def classes(self, x: Tensor) -> Tensor:
        """Return the class ``(N,)`` that the bare classifier sees in each image."""
        with seeded(self._classifier_seed(0, 0), self.device):
            seen: Tensor = self.classifier(x.to(self.device)).argmax(dim=1).cpu()
        return seen

    @torch.no_grad()
    def purify(self, x: Tensor, start: int, draw: int) -> Tensor:
        """Purify one batch whose first image is number ``start``; raise ``DefenseError`` for what is no image."""
        given = x.to(self.device)
        with seeded(keyed_seed("defense", self.label, draw, start, self.seed), self.device):
            purified = self.defense.purify(given.clone())
        try:
            check_purified(given, purified, self.box)
        except DefenseError as error:
            raise DefenseError(f"{error}{where_defined(self.defense, 'purify')}") from None
        return purified

    @torch.no_grad()
    def _count(self, x: Tensor, y: Tensor, draws: range, clock: _Clock, advance: Advance) -> _Counted:
        """Count each image's right draws; images that the defense rejects are wrong."""
        right, first, rejected = torch.zeros(len(y), dtype=torch.uint8), x[:0], 0
        for draw in draws:
            for start in range(0, len(y), self.batch):
                part = slice(start, start + self.batch)
                with clock.running("purify"):
                    purified = self.purify(x[part], start, draw)
                    refused = self.rejected(x[part], start, draw)
                if (draw, start) == (draws[0], 0):
                    first = purified
                with clock.running("classify"), seeded(self._classifier_seed(draw, start), self.device):
                    predicted = self.classifier(purified).argmax(dim=1).cpu()
                right[part] += (predicted == y[part]) & ~refused
                rejected += int(refused.sum())
                advance(len(predicted))
        return _Counted(right.numpy(), first, rejected)

    @torch.no_grad()
    def rejected(self, x: Tensor, start: int, draw: int) -> Tensor:
        """Return which images ``(N,)`` of a batch the defense refuses to pass on; ``DefenseError`` if it says not."""
        if not self.detects:
            return torch.zeros(len(x), dtype=torch.bool)
        with seeded(keyed_seed("detector", self.label, draw, start, self.seed), self.device):
            refused = self.defense.rejects(x.to(self.device, copy=True))
        try:
            check_rejected(refused, len(x))
        except DefenseError as error:
            raise DefenseError(f"{error}{where_defined(self.defense, 'rejects')}") from None
        return refused.cpu()

    @property
    def detects(self) -> bool:
        """Whether the defense may refuse images."""
        return detects(type(self.defense))

    def _classifier_seed(self, draw: int, start: int) -> int:
        return keyed_seed("classifier", draw, start, self.seed)


@dataclass(frozen=True)
class _Counted:
    """What some draws gave: counts of right ones, the first batch purified, how many images were rejected."""

    right: NDArray[np.uint8]
    purified: Tensor
    rejected: int


class _Clock:
    """Adds up the seconds of each phase."""

    def __init__(self, device: torch.device, profile: Profile) -> None:
        self.device = device
        self.profile = profile
        self.seconds = {"purify": 0.0, "classify": 0.0}

    @contextlib.contextmanager
    def running(self, phase: str) -> Iterator[None]:
        begun = time.perf_counter()
        with self.profile.phase(phase):
            yield
            synchronise(self.device)
        self.seconds[phase] += time.perf_counter() - begun
