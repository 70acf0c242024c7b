"""Adversarial sets: made once for all defenses that the attacker does not see, checked when they are read again."""

from __future__ import annotations

import hashlib
import json
import math
import os
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
from purification_bench.attacks.protocol import PROTOCOLS
from purification_bench.attacks.pursuit import Broken, Pursuit
from purification_bench.attacks.queried import Averaged, Counted
from purification_bench.attacks.seeding import seeded
from purification_bench.attacks.traces import AttackProbe
from purification_bench.benchmark.assets.data import Images
from purification_bench.benchmark.run.cells import Setting
from purification_bench.benchmark.seeds import keyed_seed
from purification_bench.defenses.errors import UserError
from purification_bench.leaderboard.results.atomic import replacing
from purification_bench.leaderboard.results.store import Store

MOST_GIB = "BENCH_ADVERSARIAL_GIB", "4"
"""What says how much the sets of one store may take on disk, and what it is where nothing is said."""
POOL = 500
"""Images that an attack goes on with together, while it leaves alone those that are broken."""


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
    attack: Mapping[str, Any] = field(default_factory=dict)
    """The attack's identity."""


@dataclass(frozen=True)
class Victim:
    """What an attack is let loose on: the bare classifier, or a view of a defended one."""

    model: nn.Module
    batch: int
    samples: int = 1
    """Draws of its randomness that each gradient, or each answer to a query, is averaged over."""
    seen: bool = False
    """It is a view of a defense, whose randomness every gradient draws."""


@dataclass(frozen=True)
class Assault:
    """One attack on one victim, over the images of a setting."""

    attack: Attack
    victim: Victim
    images: Images
    setting: Setting
    device: torch.device
    advance: Callable[[int], None]

    def sizes_together(self, sizes: Sequence[float]) -> list[list[float]]:
        """Return the sizes that one piece of work serves.

        What sees a defense draws its randomness in each gradient: sizes must not depend on which are made together. So
        does a classifier in training mode.
        """
        shared = self.attack.shares_sizes and not self.victim.seen and PROTOCOLS[self.setting.protocol].eval_mode
        return [list(sizes)] if shared and sizes else [[eps] for eps in sizes]

    def run(self, sizes: Sequence[float]) -> list[tuple[Tensor, dict[str, float], float]]:
        """Attack batch by batch; return pixels, probes and seconds for each size."""
        model, samples, counter = self._asked()
        probes = [AttackProbe() for _ in sizes]
        parts: list[list[Tensor]] = [[] for _ in sizes]
        begun = time.perf_counter()
        for start in range(0, len(self.images.y), self.victim.batch):
            x, y = (part[start : start + self.victim.batch].to(self.device) for part in self.images)
            seeds = [self._seed(eps, start) for eps in sizes]
            box = PROTOCOLS[self.setting.protocol].box
            made = guard.run(self.attack, model, x, y, sizes, seeds, samples, box)
            clean = self._clean_logits(x) if len(sizes) > 1 else None
            for x_adv, seed, probe, part in zip(made, seeds, probes, parts, strict=True):
                with seeded(seed, self.device):
                    probe.add(self.victim.model, x, x_adv, y, self.attack.norm, clean)
                part.append(x_adv.cpu())
            self.advance(len(y))
        seconds = (time.perf_counter() - begun) / len(sizes)
        asked = (
            self._cost()
            if counter is None
            else {"queries_per_image": counter.queries / len(self.images.y) / len(sizes)}
        )
        return [
            (torch.cat(part), {**probe.to_json(), **asked}, seconds) for part, probe in zip(parts, probes, strict=True)
        ]

    @torch.no_grad()
    def _clean_logits(self, x: Tensor) -> Tensor:
        """Return the logits of images, which sizes share where they share a piece of work."""
        with guard.eval_mode(self.victim.model):
            logits: Tensor = self.victim.model(x)
        return logits

    def pursue(self, eps: float, broken: Broken, start: Tensor | None) -> tuple[Tensor, dict[str, float], float]:
        """Attack, leaving alone what is broken; return pixels, probes and seconds as ``run`` does for one size."""
        probe, parts, begun = AttackProbe(), [x[:0] for x in self.images[:1]], time.perf_counter()
        victim = self.victim
        pool, pursuit = max(POOL, victim.batch), Pursuit(victim.model, broken, victim.samples, victim.batch)
        for first in range(0, len(self.images.y), pool):
            x, y = (part[first : first + pool].to(self.device) for part in self.images)
            found = None if start is None else start[first : first + pool].to(self.device)
            seed = self._seed(eps, first)
            x_adv = guard.pursue(self.attack, pursuit, x, y, eps, seed, found)
            with seeded(seed, self.device):
                probe.add(victim.model, x, x_adv, y, self.attack.norm)
            parts.append(x_adv.cpu())
            self.advance(len(y))
        return torch.cat(parts), probe.to_json(), time.perf_counter() - begun

    def _cost(self) -> dict[str, float]:
        """Return the gradients that an image takes, each draw counted."""
        taken = self.attack.gradients_per_image * self.victim.samples
        return {"gradients_per_image": taken} if taken else {}

    def _asked(self) -> tuple[nn.Module, int, Counted | None]:
        """Return the model that is handed to the attack, the copies of each image, and what counts queries."""
        victim = self.victim
        if self.attack.needs != "queries":
            return victim.model, victim.samples, None
        counter = Counted(victim.model)
        return (Averaged(counter, victim.samples) if victim.samples > 1 else counter), 1, counter

    def _seed(self, eps: float, start: int) -> int:
        """Key the attack's random numbers: never by the defense, so that one gray-box set serves all."""
        identity = self.setting.identity
        who = [identity["dataset"]["label"], identity["classifier"]["label"], self.attack.spec.label]
        return keyed_seed("attack", *who, eps, start, identity["seed"])


def write(store: Store, made: AdversarialSet) -> None:
    """Keep a set beside the results."""
    facts = {"sha256": made.sha256, "probes": made.probes, "seconds": made.seconds, "attack": made.attack}
    with replacing(_path(store, made.key)) as partial:
        save_file({"x_adv": made.x_adv}, partial, metadata={"facts": json.dumps(facts)})
    trim(store, most_bytes())


def most_bytes() -> int:
    """Return what the sets of one store may take on disk; raise ``UserError`` for what is no size."""
    said = os.environ.get(*MOST_GIB)
    try:
        size = float(said)
    except ValueError:
        size = math.nan
    if not 0 <= size < math.inf:
        raise UserError(f"{MOST_GIB[0]} must be a number of GiB, 0 or more, not {said!r}")
    return int(size * 2**30)


def trim(store: Store, most_bytes: int) -> None:
    """Delete the sets that were longest unused, so that all together take at most so many bytes.

    What is missing is made again where it is needed.
    """
    files = {path: path.stat() for path in store.adversarial.glob("*.safetensors")}
    over = sum(status.st_size for status in files.values()) - most_bytes
    for path, status in sorted(files.items(), key=lambda file: file[1].st_mtime):
        if over <= 0:
            break
        path.unlink(missing_ok=True)
        over -= status.st_size


def read(store: Store, key: str) -> AdversarialSet | None:
    """Return a stored set; None where there is none that is whole."""
    path = _path(store, key)
    if not path.is_file():
        return None
    try:
        with safe_open(path, "pt") as stored:
            facts, x_adv = json.loads(stored.metadata()["facts"]), stored.get_tensor("x_adv")
        if pixels_digest(x_adv) != facts["sha256"]:
            raise ValueError("its pixels do not have the digest it states")
        path.touch()  # used
        return AdversarialSet(key, facts["sha256"], x_adv, facts["probes"], facts["seconds"])
    except (SafetensorError, ValueError, KeyError, TypeError, OSError) as error:
        store.put_aside(path, str(error))
        return None


def _path(store: Store, key: str) -> Path:
    return store.adversarial / f"{key[:16]}.safetensors"


def pixels_digest(x: Tensor) -> str:
    """Return the SHA-256 of an image tensor's bytes."""
    return hashlib.sha256(x.contiguous().numpy().tobytes()).hexdigest()
