"""Results made by hand, for tests of the leaderboard."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from purification_bench.leaderboard.results.declared_before_3 import declared_before_3
from purification_bench.leaderboard.results.result import Result
from purification_bench.leaderboard.results.verdicts import Verdicts

ENVIRONMENT = {
    "device": "cpu",
    "device_name": "a processor",
    "threads": 2,
    "system": "Linux",
    "versions": {"purification-bench": "0.1.0", "torch": "2.11.0", "torchattacks": "3.5.1"},
}
WEIGHTS = {
    "command": "bench train ...",
    "seed": 0,
    "epochs": 3,
    "train_images": 54000,
    "validation": {},
    "date": "2026-01-01",
}


def verdicts(values, draws=1) -> Verdicts:
    counts = np.asarray(values, dtype=np.uint8)
    return Verdicts(draws, counts, counts)


def result(defense="cae", attack=None, eps=0.0, clean=(1, 1, 1, 0), adversarial=None, draws=1, **more) -> Result:
    """One accuracy cell on as many images as ``clean`` has.

    It declares what its names did before schema 3, but for a ``threat`` and for traits that are given.
    """
    given = {"threat": "threat", "attack": "traits", "defense": "defense_traits"}
    declares = {part: more.pop(name) for part, name in given.items() if name in more}
    described = None
    if attack:
        threat = {"norm": more.pop("norm", "linf"), "eps": eps, "knowledge": "graybox"}
        described = {"name": attack.partition("[")[0], "label": attack, "options": more.pop("options", {})}
        described |= {"estimator": more.pop("estimator", "bare"), "threat": threat}
    part = {"version": "1", "source": None}
    identity = {
        "kind": "accuracy",
        "dataset": {"label": more.pop("dataset", "mnist"), **part},
        "classifier": {"name": "model_a", "label": "model_a", "options": {}, "weights": "a" * 64, **part},
        "defense": {"name": defense, "label": defense, "options": {}, "weights": None, **part},
        "attack": described,
        "n": len(clean),
        "seed": more.pop("seed", 0),
        "draws": draws,
        "batch": {"attack": 250, "purify": 250},
    }
    if "protocol" in more:
        identity["protocol"] = more.pop("protocol")
    facts = {
        "eps_mark": more.pop("mark", 0.3),
        "num_classes": 10,
        "stochastic": draws > 1,
        "differentiable": more.pop("differentiable", True),
        "training_knowledge": "none",
        "weights": None,
        "classifier": WEIGHTS,
        "edition": more.pop("edition", ""),
    }
    return Result(
        identity=identity,
        status=more.pop("status", "ok"),
        facts=facts,
        declared=replace(declared_before_3(identity), **declares),
        environment=ENVIRONMENT,
        created=more.pop("created", "2026-01-01T00:00:00+00:00"),
        clean=verdicts(clean, draws),
        adversarial=verdicts(adversarial, draws) if adversarial is not None else None,
        **more,
    )


def latency(defense="cae") -> Result:
    """One latency cell."""
    accuracy = result(defense)
    identity = {**accuracy.identity, "kind": "latency", "n": 0, "batch": 256}
    del identity["draws"], identity["attack"]
    part = {"p50_ms": 1.0, "p90_ms": 2.0, "calls": 200}
    timed = {
        "single": {"purifier": part, "classifier": part, "end_to_end": part},
        "offline": {"batch": 256, "images_per_second": 1234.5, "calls": 5},
        "peak_memory_mib": 321.0,
    }
    return replace(accuracy, identity=identity, clean=None, latency=timed)
