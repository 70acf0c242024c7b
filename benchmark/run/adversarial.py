"""Adversarial sets: made once for all defenses, kept beside the results, checked when they are read again."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from purification_bench.attacks import guard
from purification_bench.attacks.base import Attack
from purification_bench.attacks.probes import AttackProbe
from purification_bench.attacks.seeding import seeded
from purification_bench.attacks.threat import AttackSpec
from purification_bench.attacks.views import Averaged, Counted
from purification_bench.benchmark.keys import keyed_seed
from purification_bench.benchmark.run.cells import Group
from purification_bench.benchmark.run.identity import attack_identity
from purification_bench.leaderboard.results.atomic import replacing
from purification_bench.leaderboard.results.canonical import digest
from purification_bench.leaderboard.results.store import Store


@dataclass(frozen=True)
class AdversarialSet:
    """The images of one attack at one size; no defense is named where none was seen."""

    key: str
    sha256: str
    """Of the pixels."""
    x_adv: Tensor
    """float32 ``(n, C, H, W)`` on the CPU."""
    probes: Mapping[str, float]
    seconds: float


@dataclass(frozen=True)
class Victim:
    """What an attack is let loose on: the bare classifier, or a view of a defended one."""

    model: nn.Module
    batch: int
    samples: int = 1
    """Draws of its randomness that each gradient, or each answer to a query, is averaged over."""
    identity: Mapping[str, Any] = field(default_factory=dict)
    """What the images depend on besides group and attack: nothing where no defense was seen."""


def obtain(
    store: Store, group: Group, attack: Attack, specs: Sequence[AttackSpec], victim: Victim, device: torch.device,
    force: bool, advance: Callable[[int], None],
) -> tuple[dict[float, AdversarialSet], dict[float, Exception]]:  # fmt: skip
    """Return the set of each size, and for the sizes that have none what the attack raised.

    A set comes from the store where it is whole there; else it is made now, and stored as soon as it is.
    """
    described = {spec.threat.eps: attack_identity(attack, spec) for spec in specs}
    sizes = list(described)
    keys = {eps: digest({**group.identity, **victim.identity, "attack": described[eps]}) for eps in sizes}
    found: dict[float, AdversarialSet] = {}
    failed: dict[float, Exception] = {}
    for eps, key in keys.items():
        stored = None if force else read(store, key)
        if stored is not None:
            found[eps] = stored
    missing = [eps for eps in sizes if eps not in found]
    # What sees a defense draws its randomness in each gradient: sizes must not depend on which are made together.
    # So does a classifier in training mode.
    shared = attack.shares_sizes and not victim.identity and group.protocol.eval_mode
    for together in [missing] if shared and missing else [[eps] for eps in missing]:
        try:
            made = _make(group, attack, together, victim, device, advance)
        except Exception as error:
            failed |= dict.fromkeys(together, error)
            continue
        for eps, (x_adv, probes, seconds) in zip(together, made, strict=True):
            found[eps] = AdversarialSet(keys[eps], _pixels_digest(x_adv), x_adv, probes, seconds)
            _write(store, found[eps], described[eps])
    return found, failed


def _make(
    group: Group, attack: Attack, sizes: Sequence[float], victim: Victim, device: torch.device,
    advance: Callable[[int], None],
) -> list[tuple[Tensor, dict[str, float], float]]:  # fmt: skip
    """Attack batch by batch; return pixels, probes and seconds for each size."""
    images = group.images
    asked, model, samples = None, victim.model, victim.samples
    if attack.needs == "queries":
        asked = Counted(victim.model)
        model, samples = (Averaged(asked, samples) if samples > 1 else asked), 1
    probes = [AttackProbe() for _ in sizes]
    parts: list[list[Tensor]] = [[] for _ in sizes]
    begun = time.perf_counter()
    for start in range(0, len(images.y), victim.batch):
        x, y = (part[start : start + victim.batch].to(device) for part in images)
        seeds = [_seed(group, attack, eps, start) for eps in sizes]
        for i, x_adv in enumerate(guard.run(attack, model, x, y, sizes, seeds, samples, group.protocol.box)):
            with seeded(seeds[i], device):
                probes[i].add(victim.model, x, x_adv, y, attack.norm)
            parts[i].append(x_adv.cpu())
        advance(len(y))
    seconds = (time.perf_counter() - begun) / len(sizes)
    facts = [probe.to_json() for probe in probes]
    if asked is not None:
        facts = [{**fact, "queries_per_image": asked.queries / len(images.y) / len(sizes)} for fact in facts]
    return [(torch.cat(part), fact, seconds) for part, fact in zip(parts, facts, strict=True)]


def _seed(group: Group, attack: Attack, eps: float, start: int) -> int:
    """Key the attack's random numbers: never by the defense, so that one gray-box set serves all."""
    who = [group.identity["dataset"]["label"], group.identity["classifier"]["label"], attack.spec.label]
    return keyed_seed("attack", *who, eps, start, group.identity["seed"])


def _write(store: Store, made: AdversarialSet, attack: Mapping[str, Any]) -> None:
    path = _path(store, made.key)
    facts = {"sha256": made.sha256, "probes": made.probes, "seconds": made.seconds, "attack": attack}
    with replacing(path) as partial:
        save_file({"x_adv": made.x_adv}, partial, metadata={"facts": json.dumps(facts)})


def read(store: Store, key: str) -> AdversarialSet | None:
    """Return a stored set; None where there is none that is whole."""
    path = _path(store, key)
    if not path.is_file():
        return None
    try:
        with safe_open(path, "pt") as stored:
            facts, x_adv = json.loads(stored.metadata()["facts"]), stored.get_tensor("x_adv")
        if _pixels_digest(x_adv) != facts["sha256"]:
            raise ValueError("its pixels do not have the digest it states")
        return AdversarialSet(key, facts["sha256"], x_adv, facts["probes"], facts["seconds"])
    except (SafetensorError, ValueError, KeyError, TypeError, OSError) as error:
        store.put_aside(path, str(error))
        return None


def _path(store: Store, key: str) -> Path:
    return store.adversarial / f"{key[:16]}.safetensors"


def _pixels_digest(x: Tensor) -> str:
    return hashlib.sha256(x.contiguous().numpy().tobytes()).hexdigest()
