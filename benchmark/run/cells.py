"""What a run consists of: cells, each with its key, in groups that share adversarial images."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from purification_bench.attacks.base import Attack
from purification_bench.attacks.protocol import PROTOCOLS, STANDARD, Protocol
from purification_bench.attacks.threat import AttackSpec
from purification_bench.benchmark.assets.classifiers import Classifier
from purification_bench.benchmark.assets.data import ImageDataset, Images
from purification_bench.defenses.base import Defense
from purification_bench.defenses.spec import Spec
from purification_bench.leaderboard.results.canonical import digest


@dataclass(frozen=True)
class Subject:
    """One defense on one dataset before one classifier, loaded; or why it could not be made."""

    spec: Spec
    defense: Defense | None
    failure: str | None
    identity: Mapping[str, Any]
    facts: Mapping[str, Any]
    draws: int


@dataclass(frozen=True)
class Cell:
    """One defense under one attack at one size (or on clean images, or timed): one result file."""

    identity: Mapping[str, Any]
    subject: Subject
    attack: Attack | None = None
    spec: AttackSpec | None = None
    stand_in: Defense | None = None
    """The cheaper form of the defense that is attacked in its place."""
    substitute: Classifier | None = None
    """The classifier that is attacked in place of the judged one."""

    @property
    def eps(self) -> float:
        """The attack's size in pixel units; 0 for clean images."""
        return self.spec.threat.eps if self.spec else 0.0

    @cached_property
    def key(self) -> str:
        """The digest of the identity."""
        return digest(self.identity)

    @property
    def kind(self) -> str:
        """``accuracy`` or ``latency``."""
        return str(self.identity["kind"])


@dataclass(frozen=True)
class Group:
    """The cells that share a dataset and a classifier, and so their adversarial images."""

    dataset: ImageDataset
    images: Images
    classifier: Classifier
    identity: Mapping[str, Any]
    """What the adversarial images depend on besides the attack: dataset, classifier, n, seed, batch plan."""
    subjects: Sequence[Subject]
    cells: Sequence[Cell]
    protocol: Protocol = PROTOCOLS[STANDARD]


def by_attack(cells: Iterable[Cell]) -> list[list[Cell]]:
    """Put together the cells that one run of an attack serves: any defense's, if it sees none; else one defense's."""
    found: dict[tuple[str, ...], list[Cell]] = {}
    for cell in cells:
        if cell.spec is not None:
            seen = cell.subject.spec.label if cell.spec.sees_defense else ""
            found.setdefault((cell.spec.attack.label, cell.spec.estimator, seen), []).append(cell)
    return list(found.values())


@dataclass
class Plan:
    """Everything a run would do."""

    groups: list[Group] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def cells(self) -> list[Cell]:
        """All cells of all groups."""
        return [cell for group in self.groups for cell in group.cells]
