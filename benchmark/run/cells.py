"""What a run consists of: cells, each with its key. Plain data, which goes to any process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

from purification_bench.attacks.threat import PlannedAttack
from purification_bench.defenses.spec import Spec
from purification_bench.leaderboard.results.canonical import digest


@dataclass(frozen=True)
class Setting:
    """What cells share that share adversarial images: data set, classifier, protocol, images, seed, batch plan."""

    dataset: Spec
    classifier: Spec
    protocol: str
    n: int
    seed: int
    batch_size: int
    identity: Mapping[str, Any]
    """What the adversarial images depend on besides the attack."""

    @cached_property
    def key(self) -> str:
        """The digest of the identity."""
        return digest(self.identity)

    @property
    def where(self) -> str:
        """Data set and classifier, for people."""
        return f"{self.dataset.label}, {self.classifier.label}"


@dataclass(frozen=True)
class Judged:
    """A defense that is judged: what it is made from, what its key holds, what it declares."""

    spec: Spec
    identity: Mapping[str, Any]
    facts: Mapping[str, Any]
    """What a reader of its results needs besides: the mark, the declared flags, how its weights came about."""
    draws: int
    """Independent draws of each image for choosing the worst attack, and as many for reporting."""
    undefended: bool = False

    @property
    def stochastic(self) -> bool:
        """Two passes over one image differ, as it declares."""
        return bool(self.facts["stochastic"])

    @property
    def passes(self) -> int:
        """How often each image is purified for one verdict."""
        return 2 * self.draws if self.stochastic else 1


@dataclass(frozen=True)
class Earlier:
    """Where a store holds the result of a cell that is computed before another."""

    identity: Mapping[str, Any]
    key: str


@dataclass(frozen=True)
class AccuracyCell:
    """One defense under one attack at one size, or on clean images: one result file."""

    setting: Setting
    defense: Judged
    attack: PlannedAttack | None
    identity: Mapping[str, Any]
    after: tuple[Earlier, ...] | None = None
    """Cells whose broken images this one passes over; None: it attacks all."""

    @cached_property
    def key(self) -> str:
        """The digest of the identity."""
        return digest(self.identity)

    @property
    def eps(self) -> float:
        """The attack's size in pixel units; 0 for clean images."""
        return self.attack.eps if self.attack else 0.0

    @property
    def seen(self) -> str:
        """Label of the defense that the images depend on; empty where one set serves all."""
        return self.defense.spec.label if self.attack and self.attack.of.depends_on_defense else ""


@dataclass(frozen=True)
class LatencyCell:
    """One defense, timed: one result file."""

    setting: Setting
    defense: Judged
    batch: int
    """Images in a batch when images/s is measured."""
    identity: Mapping[str, Any]

    @cached_property
    def key(self) -> str:
        """The digest of the identity."""
        return digest(self.identity)


Cell: TypeAlias = AccuracyCell | LatencyCell


@dataclass(frozen=True)
class Plan:
    """Everything a run would do."""

    cells: tuple[Cell, ...]
    warnings: tuple[str, ...] = ()
