"""One cell's outcome, and its JSON form."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from purification_bench.leaderboard.results.canonical import digest
from purification_bench.leaderboard.results.errors import StoreError

SCHEMA = 2
"""Since 2 verdicts are compressed."""
STANDARD = "standard"
"""The protocol whose rows are compared; those of any other stand apart."""

Counts = NDArray[np.uint8]


class ResultError(ValueError):
    """A stored result that cannot be read."""


@dataclass(frozen=True)
class Verdicts:
    """How often each image was classified right: counts ``(n,)`` out of ``draws``.

    A stochastic defense has two independent sets of draws: the worst attack for an image is chosen by ``chosen`` and
    its accuracy read from ``reported``, because a minimum over noisy means is biased low. A deterministic defense has
    one draw, and the two are the same bits.
    """

    draws: int
    chosen: Counts
    reported: Counts

    @property
    def means(self) -> NDArray[np.float64]:
        """Each image's share of reported draws that are right, ``(n,)``."""
        return np.asarray(self.reported / self.draws, dtype=np.float64)

    def to_json(self) -> dict[str, Any]:
        """Pack bits where there was but one draw, bytes for two sets of draws."""
        if self.draws == 1 and np.array_equal(self.chosen, self.reported):
            counts = {"bits": _pack(np.packbits(self.reported))}
        else:
            counts = {"chosen": _pack(self.chosen), "reported": _pack(self.reported)}
        return {"draws": self.draws, "coding": "zlib", **counts}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any], n: int) -> Verdicts:
        """Unpack the verdicts of ``n`` images."""
        coding = stored.get("coding")
        if "bits" in stored:
            packed = _unpack(stored["bits"], coding)
            if len(packed) != -(-n // 8):
                raise ResultError(f"verdicts of {len(packed)} bytes for {n} images")
            bits = np.unpackbits(packed)[:n]
            return cls(1, bits, bits)
        chosen, reported = (_unpack(stored[name], coding) for name in ("chosen", "reported"))
        found = cls(int(stored["draws"]), chosen, reported)
        if len(found.chosen) != n or len(found.reported) != n:
            raise ResultError(f"verdicts of {len(found.reported)} images where {n} are meant")
        return found


@dataclass(frozen=True)
class Result:
    """One cell: what was asked (``identity``), what came out, and what it was computed with."""

    identity: Mapping[str, Any]
    """The cell's canonical description: kind, dataset, classifier, defense, attack, n, seed, draws, batch plan."""
    status: str
    """``ok`` or ``error``."""
    facts: Mapping[str, Any]
    """What a reader needs besides: the dataset's mark, the defense's declared flags, its training, its weights."""
    environment: Mapping[str, Any]
    created: str
    error: str | None = None
    clean: Verdicts | None = None
    adversarial: Verdicts | None = None
    probes: Mapping[str, Any] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    latency: Mapping[str, Any] | None = None
    declared: Mapping[str, Any] = field(default_factory=dict)
    adversarial_set: Mapping[str, str] | None = None
    """Key and SHA-256 of the file that holds this cell's x_adv."""

    @property
    def key(self) -> str:
        """The digest of the identity: what the store files the result under."""
        return digest(self.identity)

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
    def means(self) -> NDArray[np.float64]:
        """Each image's share of draws that are right: under the attack, or clean where there is none.

        Raises ``ValueError`` for a cell without verdicts.
        """
        verdicts = self.adversarial if self.attack else self.clean
        if verdicts is None:
            raise ValueError(f"{self.key} holds no verdicts")
        return verdicts.means

    @property
    def threat(self) -> Mapping[str, Any]:
        """Norm, eps and knowledge of the attacker (empty for clean images)."""
        attack = self.identity.get("attack")
        return attack["threat"] if attack else {}

    @property
    def eps(self) -> float:
        """The attack's size in pixel units; 0 for clean images."""
        return float(self.threat.get("eps", 0.0))

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
        row["clean"] = self.clean.to_json() if self.clean else None
        row["adversarial"] = self.adversarial.to_json() if self.adversarial else None
        row |= {"probes": dict(self.probes), "seconds": dict(self.seconds), "latency": self.latency}
        row |= {"adversarial_set": self.adversarial_set, "environment": dict(self.environment)}
        row["created"] = self.created
        return json.dumps(row, indent=1, allow_nan=False) + "\n"

    @classmethod
    def loads(cls, text: str) -> Result:
        """Read a stored result of any schema version; raise ``ResultError`` where it cannot be.

        Raises ``StoreError`` for a result of a later version: that is no damage.
        """
        try:
            row = json.loads(text)
            if row["schema"] > SCHEMA:
                raise StoreError(f"a result has schema {row['schema']}, this version reads up to {SCHEMA}: update it")
            n = row["identity"].get("n", 0)
            copied = ("identity", "status", "error", "facts", "probes", "seconds", "latency", "adversarial_set")
            clean, adversarial = (
                Verdicts.from_json(row[name], n) if row[name] else None for name in ("clean", "adversarial")
            )
            found = cls(
                **{name: row[name] for name in copied},
                clean=clean,
                adversarial=adversarial,
                environment=row["environment"],
                created=row["created"],
            )
        except (ResultError, StoreError):
            raise
        except (ValueError, KeyError, TypeError, AttributeError, zlib.error) as error:
            raise ResultError(f"not a stored result: {type(error).__name__}: {error}") from error
        if found.key != row.get("key"):
            raise ResultError("its key is not the digest of its identity")
        return found


def place(dataset: str, classifier: str, protocol: str) -> tuple[str, ...]:
    """Name what stands together: the protocol only where it is not the standard one."""
    return (dataset, classifier) if protocol == STANDARD else (dataset, classifier, protocol)


def _pack(values: NDArray[np.uint8]) -> str:
    return base64.b64encode(zlib.compress(values.astype(np.uint8).tobytes(), 9)).decode("ascii")


def _unpack(text: str, coding: str | None) -> Counts:
    stored = base64.b64decode(text, validate=True)
    return np.frombuffer(zlib.decompress(stored) if coding == "zlib" else stored, dtype=np.uint8)
