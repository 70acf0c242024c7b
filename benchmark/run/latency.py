"""What a defense costs: single-stream latency at batch 1, and offline throughput at a declared batch."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from purification_bench.attacks.seeding import seeded
from purification_bench.benchmark.environment import synchronise
from purification_bench.benchmark.run.calls import (
    MAX_CALLS,
    MAX_SECONDS,
    MIN_CALLS,
    OFFLINE_CALLS,
    OFFLINE_SECONDS,
    WARM_UP,
    WARM_UP_SECONDS,
)
from purification_bench.defenses.base import DefendedClassifier, Defense, detects

P99_FROM = 1000


@dataclass
class _Timed:
    """One part of one defense's pipeline, and its times so far."""

    call: Callable[[Tensor], Any]
    seconds: list[float] = field(default_factory=list)

    @property
    def done(self) -> bool:
        enough = len(self.seconds) >= MAX_CALLS or sum(self.seconds) >= MAX_SECONDS
        return enough and len(self.seconds) >= MIN_CALLS


class _Pipeline(DefendedClassifier):
    """A classifier behind a defense, with all that the defense does to an image."""

    def purify(self, x: Tensor) -> Tensor:
        """Purify a batch, and ask whether it is rejected, of a defense that may do so."""
        if detects(type(self.defense)):
            self.defense.rejects(x)
        return self.defense.purify(x)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits."""
        logits: Tensor = self.classifier(self.purify(x))
        return logits


@torch.no_grad()
def measure(
    defenses: Mapping[str, Defense], classifier: nn.Module, x: Tensor, batch: int, device: torch.device
) -> dict[str, dict[str, Any]]:
    """Time each defense before ``classifier``, their calls interleaved, so that drift of the machine hits all alike.

    Returns for each label: ``single`` (purifier, classifier, end to end: p50, p90, in milliseconds, calls, and by how
    much of the median those of the first and of the second half of the calls differ, ``spread``), ``offline``
    (images/s at ``batch``), and the peak memory in MiB (of the device's tensors on CUDA; else of the process).
    """
    pipelines = {label: _Pipeline(classifier, defense) for label, defense in defenses.items()}
    parts = {
        label: {"purifier": _Timed(whole.purify), "classifier": _Timed(classifier), "end_to_end": _Timed(whole)}
        for label, whole in pipelines.items()
    }
    with seeded(0, device):
        _warm_up(list(pipelines.values()), x, device)
        _single_stream([timed for named in parts.values() for timed in named.values()], x, device)
        offline = {label: _offline(whole, x, batch, device) for label, whole in pipelines.items()}
    return {
        label: {
            "single": {part: _percentiles(timed.seconds) for part, timed in named.items()},
            "offline": {"batch": batch, "images_per_second": offline[label][0], "calls": offline[label][1]},
            "peak_memory_mib": offline[label][2],
        }
        for label, named in parts.items()
    }


@torch.no_grad()
def rehearse(defense: Defense, classifier: nn.Module, x: Tensor, batch: int, device: torch.device) -> None:
    """Run a pipeline once at batch 1 and once at ``batch``; whatever it raises, it would raise while timed."""
    whole = _Pipeline(classifier, defense)
    with seeded(0, device):
        for size in (1, batch):
            whole(_batch(x, size, device))


def _batch(x: Tensor, size: int, device: torch.device) -> Tensor:
    return x[torch.arange(size) % len(x)].to(device)


def _warm_up(pipelines: list[DefendedClassifier], x: Tensor, device: torch.device) -> None:
    """Call each pipeline, and with it both of its parts, untimed."""
    for whole in pipelines:
        spent = 0.0
        for i in range(WARM_UP):
            if spent < WARM_UP_SECONDS:
                spent += _seconds(whole, x[i % len(x)][None].to(device), device)


def _single_stream(parts: list[_Timed], x: Tensor, device: torch.device) -> None:
    images = [image[None].to(device) for image in x[:64]]
    turn = 0
    while waiting := [timed for timed in parts if not timed.done]:
        for timed in waiting:
            timed.seconds.append(_seconds(timed.call, images[turn % len(images)], device))
        turn += 1


def _offline(whole: nn.Module, x: Tensor, batch: int, device: torch.device) -> tuple[float, int, float | None]:
    images = _batch(x, batch, device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    spent = [_seconds(whole, images, device)]
    while len(spent) <= OFFLINE_CALLS and sum(spent) < OFFLINE_SECONDS:
        spent.append(_seconds(whole, images, device))
    spent = spent[1:] or spent  # the first call warms up; it counts where it alone takes all the time
    return batch * len(spent) / sum(spent), len(spent), _peak_memory(device)


def _seconds(call: Callable[[Tensor], Any], x: Tensor, device: torch.device) -> float:
    synchronise(device)
    begun = time.perf_counter()
    call(x)
    synchronise(device)
    return time.perf_counter() - begun


def _percentiles(seconds: list[float]) -> dict[str, float]:
    milliseconds = 1000 * np.asarray(seconds)
    p50, p90 = (float(np.percentile(milliseconds, q)) for q in (50, 90))
    halves = [float(np.median(half)) for half in np.array_split(milliseconds, 2) if len(half)]
    found = {"p50_ms": p50, "p90_ms": p90, "spread": (max(halves) - min(halves)) / p50}
    if len(seconds) >= P99_FROM:
        found["p99_ms"] = float(np.percentile(milliseconds, 99))
    return {**found, "calls": len(seconds)}


def _peak_memory(device: torch.device) -> float | None:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20
