"""Adversarial sets: made once for all defenses, kept beside the results, checked when they are read again."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from attacks import guard
from attacks.base import Attack
from attacks.probes import AttackProbe
from benchmark.grid import Group, attack_identity
from benchmark.keys import keyed_seed
from leaderboard.atomic import replacing
from leaderboard.canonical import digest
from leaderboard.store import Store


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


def obtain(
    store: Store, group: Group, attack: Attack, sizes: Sequence[float], device: torch.device, force: bool,
    advance: Callable[[int], None],
) -> tuple[dict[float, AdversarialSet], dict[float, Exception]]:  # fmt: skip
    """Return the set of each size, and for the sizes that have none what the attack raised.

    A set comes from the store where it is whole there; else it is made now, and stored as soon as it is.
    """
    keys = {eps: digest({**group.identity, "attack": attack_identity(attack, eps)}) for eps in sizes}
    found: dict[float, AdversarialSet] = {}
    failed: dict[float, Exception] = {}
    for eps, key in keys.items():
        stored = None if force else _read(store, key)
        if stored is not None:
            found[eps] = stored
    missing = [eps for eps in sizes if eps not in found]
    for together in [missing] if attack.shares_sizes and missing else [[eps] for eps in missing]:
        try:
            made = _make(group, attack, together, device, advance)
        except Exception as error:
            failed |= dict.fromkeys(together, error)
            continue
        for eps, (x_adv, probes, seconds) in zip(together, made, strict=True):
            found[eps] = AdversarialSet(keys[eps], _pixels_digest(x_adv), x_adv, probes, seconds)
            _write(store, found[eps], attack_identity(attack, eps))
    return found, failed


def _make(
    group: Group, attack: Attack, sizes: Sequence[float], device: torch.device, advance: Callable[[int], None]
) -> list[tuple[Tensor, dict[str, float], float]]:
    """Attack the bare classifier batch by batch; return pixels, probes and seconds for each size."""
    images, batch = group.images, int(group.identity["batch"]["attack"])
    probes = [AttackProbe() for _ in sizes]
    parts: list[list[Tensor]] = [[] for _ in sizes]
    begun = time.perf_counter()
    for start in range(0, len(images.y), batch):
        x, y = (part[start : start + batch].to(device) for part in images)
        seeds = [_seed(group, attack, eps, start) for eps in sizes]
        for i, x_adv in enumerate(guard.run(attack, group.classifier, x, y, sizes, seeds)):
            probes[i].add(group.classifier, x, x_adv, y, attack.norm)
            parts[i].append(x_adv.cpu())
        advance(len(y))
    seconds = (time.perf_counter() - begun) / len(sizes)
    return [(torch.cat(part), probe.to_json(), seconds) for part, probe in zip(parts, probes, strict=True)]


def _seed(group: Group, attack: Attack, eps: float, start: int) -> int:
    """Key the attack's random numbers: never by the defense, so that one gray-box set serves all."""
    who = [group.identity["dataset"]["label"], group.identity["classifier"]["label"], attack.spec.label]
    return keyed_seed("attack", *who, eps, start, group.identity["seed"])


def _write(store: Store, made: AdversarialSet, attack: Mapping[str, Any]) -> None:
    path = _path(store, made.key)
    facts = {"sha256": made.sha256, "probes": made.probes, "seconds": made.seconds, "attack": attack}
    with replacing(path) as partial:
        save_file({"x_adv": made.x_adv}, partial, metadata={"facts": json.dumps(facts)})


def _read(store: Store, key: str) -> AdversarialSet | None:
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
