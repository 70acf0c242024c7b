"""The stored form of a result, field by field: what is read from a file is held against it before it is used."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from purification_bench.leaderboard.results.declared import Declared

Scalar = str | int | float | bool | None
Count = Annotated[int, msgspec.Meta(ge=0)]
AtLeastOne = Annotated[int, msgspec.Meta(ge=1)]
Size = Annotated[float, msgspec.Meta(ge=0)]
Draws = Annotated[int, msgspec.Meta(ge=1, le=255)]


class Named(msgspec.Struct, kw_only=True):
    """What every part of an identity has."""

    label: str
    version: str | None = None
    source: str | None = None


class Made(Named, kw_only=True):
    """A part that was made by its name with options."""

    name: str
    options: dict[str, Scalar]


class Trained(Made, kw_only=True):
    """A classifier or a defense."""

    weights: str | None


class ThreatModel(msgspec.Struct):
    """What the attacker may do to an image."""

    norm: Literal["linf", "l2", "l0"]
    eps: Size
    knowledge: str


class Attack(Made, kw_only=True):
    """An attack, and how it went about it."""

    estimator: str
    threat: ThreatModel
    eot_samples: AtLeastOne = 1
    stand_in: str | None = None
    substitute: Named | None = None
    surrogate: str | None = None


class AccuracyIdentity(msgspec.Struct, kw_only=True, tag_field="kind", tag="accuracy"):
    """A cell of images, clean or attacked."""

    dataset: Named
    classifier: Trained
    defense: Trained
    attack: Attack | None
    n: AtLeastOne
    seed: int
    draws: Draws
    batch: dict[str, int]
    protocol: str = "standard"
    after: list[str] | None = None


class LatencyIdentity(msgspec.Struct, kw_only=True, tag_field="kind", tag="latency"):
    """A cell that was timed."""

    dataset: Named
    classifier: Trained
    defense: Trained
    n: Count
    seed: int
    batch: AtLeastOne


class Training(msgspec.Struct):
    """Where weights come from."""

    command: str
    train_images: Count


class Facts(msgspec.Struct, kw_only=True):
    """What a reader needs besides the identity."""

    eps_mark: Annotated[float, msgspec.Meta(gt=0)]
    num_classes: AtLeastOne
    stochastic: bool
    differentiable: bool
    classifier: Training | None
    relaxes: bool = False
    training_knowledge: str = "none"
    paper: str = ""
    adversarial_eps: float | None = None
    edition: str = ""
    weights: Training | None = None


class StoredVerdicts(msgspec.Struct):
    """Packed verdicts: bits, or two sets of counts."""

    draws: Draws
    coding: Literal["zlib"] | None = None
    bits: str | msgspec.UnsetType = msgspec.UNSET
    chosen: str | msgspec.UnsetType = msgspec.UNSET
    reported: str | msgspec.UnsetType = msgspec.UNSET


class Timing(msgspec.Struct):
    """One part's milliseconds an image at batch 1."""

    p50_ms: float
    p90_ms: float
    calls: Count
    spread: float | None = None


class Single(msgspec.Struct):
    """The parts that are timed one image at a time."""

    purifier: Timing
    classifier: Timing
    end_to_end: Timing


class Offline(msgspec.Struct):
    """The whole in large batches."""

    batch: AtLeastOne
    images_per_second: float
    calls: Count


class Latency(msgspec.Struct):
    """What an image costs."""

    single: Single
    offline: Offline
    peak_memory_mib: float | None


class ImagesFile(msgspec.Struct):
    """The file of adversarial images."""

    key: str
    sha256: str


class Versions(msgspec.Struct):
    """The versions that a page names."""

    torch: str
    torchattacks: str
    bench: str = msgspec.field(name="purification-bench")


class Environment(msgspec.Struct):
    """What a cell was computed on."""

    device: str
    device_name: str
    threads: int
    versions: Versions


class StoredResult(msgspec.Struct, kw_only=True):
    """A whole file."""

    schema: AtLeastOne
    key: str
    identity: AccuracyIdentity | LatencyIdentity
    status: Literal["ok", "error"]
    error: str | None
    facts: Facts
    declared: Declared | None = None
    """None before schema 3."""
    clean: StoredVerdicts | None
    adversarial: StoredVerdicts | None
    probes: dict[str, float | bool]
    seconds: dict[str, float]
    latency: Latency | None
    adversarial_set: ImagesFile | None
    environment: Environment
    created: str
