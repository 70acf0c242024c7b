"""What an image costs, learnt from stored results: seconds to purify, to classify, and for one gradient.

``python -m purification_bench.benchmark.run.costs STORE...`` writes ``reference_costs.json`` anew: the medians over
published results, for machines that have computed nothing yet.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from purification_bench.benchmark.facts import of_attack
from purification_bench.benchmark.registries import ATTACKS
from purification_bench.defenses.errors import UserError
from purification_bench.defenses.spec import write_spec
from purification_bench.leaderboard.results.result import Result
from purification_bench.leaderboard.results.store import Store

REFERENCE = Path(__file__).with_name("reference_costs.json")


OTHER_MACHINE = (0.5, 2.0)
"""What timings of another machine may be multiplied by, to lie between what is likely here."""
THIS_MACHINE = (0.75, 1.5)
"""The same, for timings of this one: other programs run beside."""


@dataclass(frozen=True)
class Costs:
    """Seconds for one image, by what is done with it."""

    machine: str
    seconds: Mapping[str, float] = field(default_factory=dict)
    """By key, of ``purifying``, ``classifying`` and ``attacking``."""
    spread: tuple[float, float] = OTHER_MACHINE
    """What they are multiplied by for the least and the most that is likely."""

    def of(self, key: str) -> float | None:
        """Return the seconds; None where nobody has measured them."""
        return self.seconds.get(key)


def purifying(defense: str) -> str:
    """Name one pass of a defense, by its label."""
    return f"purify {defense}"


def classifying(classifier: str) -> str:
    """Name one pass of a classifier, by its label."""
    return f"classify {classifier}"


def attacking(classifier: str, estimator: str, defense: str, asked: str) -> str:
    """Name one gradient, or one query (``asked``), through what an attacker sees; no defense where it sees none."""
    return f"{asked} {classifier} {estimator} {defense}".rstrip()


def learn(results: Iterable[Result], machine: str | None = None) -> Costs:
    """Return the median costs over good results (of one machine, by its name, if one is given)."""
    measured: dict[str, list[float]] = defaultdict(list)
    for result in results:
        if result.ok and result.seconds and machine in (None, result.environment["device_name"]):
            for key, seconds in _of_result(result):
                measured[key].append(seconds)
    medians = {key: float(f"{statistics.median(values):.3g}") for key, values in sorted(measured.items())}
    return Costs(machine or "several machines", medians, THIS_MACHINE if machine else OTHER_MACHINE)


def reference() -> Costs:
    """Return the shipped costs."""
    return Costs(**json.loads(REFERENCE.read_text(encoding="utf-8")))


def _of_result(result: Result) -> Iterator[tuple[str, float]]:
    passes = 2 * int(result.identity["draws"]) if result.facts["stochastic"] else 1
    judged = result.n * passes
    if result.seconds.get("purify"):
        yield purifying(result.defense), result.seconds["purify"] / judged
        yield classifying(result.classifier), result.seconds["classify"] / judged
    attack: Mapping[str, Any] = result.identity.get("attack") or {}
    asked, times = _asked(attack)
    if times and "attack" in result.seconds:
        seen = result.defense if "eot_samples" in attack else ""
        samples = result.n * times * int(attack.get("eot_samples", 1))
        yield attacking(result.classifier, attack["estimator"], seen, asked), result.seconds["attack"] / samples


def _asked(attack: Mapping[str, Any]) -> tuple[str, int]:
    """Return what an attack asks for, and how often for each image; never where it is not known."""
    if attack.get("name") not in ATTACKS.names():
        return "gradient", 0
    try:
        known = of_attack(write_spec(attack["name"], attack["options"]))
    except UserError:  # its options are of another version
        return "gradient", 0
    return known.asked, known.times


def main(stores: list[str]) -> None:
    """Write the reference costs from ``stores``."""
    results = [result for store in stores for result in Store(Path(store)).results()]
    names = sorted({result.environment["device_name"] for result in results})
    learnt = learn(results)
    text = json.dumps({"machine": " or ".join(names), "seconds": dict(learnt.seconds)}, indent=1)
    REFERENCE.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
