"""One cell's outcome, and its JSON form."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from purification_bench.leaderboard.results.canonical import digest
from purification_bench.leaderboard.results.declared import Declared
from purification_bench.leaderboard.results.declared_before_3 import declared_before_3, paper_before
from purification_bench.leaderboard.results.errors import ResultError
from purification_bench.leaderboard.results.reading import SCHEMA, read_row
from purification_bench.leaderboard.results.verdicts import Verdicts

STANDARD = "standard"
"""The protocol whose rows are compared; those of any other stand apart."""
COPIED = (
    *("identity", "status", "error", "facts", "probes", "seconds", "latency", "adversarial_set"),
    *("environment", "created"),
)
"""Fields that are stored as they are."""


@dataclass(frozen=True, eq=False)
class Result:
    """One cell: what was asked (``identity``), what came out, and what it was computed with."""

    identity: Mapping[str, Any]
    """The cell's canonical description: kind, dataset, classifier, defense, attack, n, seed, draws, batch plan."""
    status: str
    """``ok`` or ``error``."""
    facts: Mapping[str, Any]
    """What a reader needs besides: the dataset's mark, the defense's declared flags, its training, its weights."""
    declared: Declared
    """What the attack, the threat and the defense are judged by; no part of the key."""
    environment: Mapping[str, Any]
    created: str
    error: str | None = None
    """A line that says what failed, and where; below it the calls that led there."""
    clean: Verdicts | None = None
    adversarial: Verdicts | None = None
    probes: Mapping[str, Any] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    latency: Mapping[str, Any] | None = None
    adversarial_set: Mapping[str, str] | None = None
    """Key and SHA-256 of the file that holds this cell's x_adv."""

    @property
    def key(self) -> str:
        """The digest of the identity: what the store files the result under."""
        return digest(self.identity)

    @property
    def reason(self) -> str:
        """What failed, in one line; empty where nothing did."""
        return (self.error or "").partition("\n")[0]

    @property
    def kind(self) -> str:
        """``accuracy`` or ``latency``."""
        return str(self.identity["kind"])

    @property
    def ok(self) -> bool:
        """Whether the cell was computed."""
        return self.status == "ok"

    @property
    def dataset(self) -> str:
        """Name of the dataset."""
        return str(self.identity["dataset"]["label"])

    @property
    def classifier(self) -> str:
        """Label of the classifier."""
        return str(self.identity["classifier"]["label"])

    @property
    def defense(self) -> str:
        """Label of the defense: its name and the options that differ from their defaults."""
        return str(self.identity["defense"]["label"])

    @property
    def paper(self) -> str:
        """Where the defense was published: authors and year; empty where nothing is said."""
        return str(self.facts.get("paper", paper_before(self.identity)))

    @property
    def protocol(self) -> str:
        """Name of the rules that attacks ran under."""
        return str(self.identity.get("protocol", STANDARD))

    @property
    def place(self) -> tuple[str, ...]:
        """What stands together: dataset, classifier, and the protocol, if it is not the standard one."""
        return place(self.dataset, self.classifier, self.protocol)

    @property
    def attack(self) -> str | None:
        """Label of the attack; None for a cell of clean images only."""
        attack = self.identity.get("attack")
        return str(attack["label"]) if attack else None

    @property
    def partial(self) -> bool:
        """Whether its attack passed over images that earlier ones had broken."""
        return self.identity.get("after") is not None

    @property
    def met(self) -> NDArray[np.bool_]:
        """Which images ``(n,)`` its verdicts are of: all, but where a file holds only some, or ``partial``."""
        verdicts = self.adversarial if self.attack else self.clean
        before = None if verdicts is None else verdicts.before
        return np.ones(self.n, dtype=np.bool_) if before is None else before == 0

    @property
    def means(self) -> NDArray[np.float64]:
        """Each image's share of draws that are right: under the attack, or clean where there is none.

        Raises ``ValueError`` for a cell without verdicts.
        """
        verdicts = self.adversarial if self.attack else self.clean
        if verdicts is None:
            raise ValueError(f"{self.key} holds no verdicts")
        return verdicts.means

    @property
    def threat_model(self) -> Mapping[str, Any]:
        """Norm, eps and knowledge of the attacker (empty for clean images)."""
        attack = self.identity.get("attack")
        return attack["threat"] if attack else {}

    @property
    def eps(self) -> float:
        """The attack's size in pixel units; 0 for clean images."""
        return float(self.threat_model.get("eps", 0.0))

    @property
    def n(self) -> int:
        """Number of images."""
        return int(self.identity["n"])

    @property
    def seed(self) -> int:
        """Seed of the run."""
        return int(self.identity["seed"])

    def dumps(self) -> str:
        """Return the JSON text that is stored."""
        row: dict[str, Any] = {"schema": SCHEMA, "key": self.key, "identity": dict(self.identity)}
        row |= {"status": self.status, "error": self.error, "facts": dict(self.facts)}
        row["declared"] = msgspec.to_builtins(self.declared)
        row["clean"] = self.clean.to_json() if self.clean else None
        row["adversarial"] = self.adversarial.to_json() if self.adversarial else None
        row |= {"probes": dict(self.probes), "seconds": dict(self.seconds), "latency": self.latency}
        row |= {"adversarial_set": self.adversarial_set, "environment": dict(self.environment)}
        row["created"] = self.created
        return json.dumps(row, indent=1, allow_nan=False) + "\n"

    @classmethod
    def loads(cls, text: str) -> Result:
        """Read a stored result of any schema version; raise ``ResultError`` where it cannot be.

        Raises ``LaterSchemaError`` for a result of a later version: that is no damage.
        """
        row, declared = read_row(text)
        n = int(row["identity"]["n"])
        clean, adversarial = (
            Verdicts.from_json(row[name], n) if row[name] else None for name in ("clean", "adversarial")
        )
        stored = cls(
            **{name: row[name] for name in COPIED},
            declared=declared or declared_before_3(row["identity"]),
            clean=clean,
            adversarial=adversarial,
        )
        if stored.key != row["key"]:
            raise ResultError("its key is not the digest of its identity")
        return stored


def place(dataset: str, classifier: str, protocol: str) -> tuple[str, ...]:
    """Name what stands together: the protocol only where it is not the standard one."""
    return (dataset, classifier) if protocol == STANDARD else (dataset, classifier, protocol)
