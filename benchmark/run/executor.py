"""Running a plan: adversarial images once for all defenses, each cell judged and stored at once."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from purification_bench.attacks import planted, views
from purification_bench.attacks.base import Attack
from purification_bench.attacks.probes import gradient_shares
from purification_bench.attacks.seeding import seeded
from purification_bench.attacks.threat import AttackSpec
from purification_bench.benchmark.environment import describe
from purification_bench.benchmark.keys import keyed_seed
from purification_bench.benchmark.run import adversarial, consistency, latency
from purification_bench.benchmark.run.adversarial import AdversarialSet, Victim
from purification_bench.benchmark.run.cells import Cell, Group, Plan, Subject, by_attack
from purification_bench.benchmark.run.evaluate import Judge
from purification_bench.defenses.base import Defense
from purification_bench.leaderboard.results.declared_before_3 import declared_before_3
from purification_bench.leaderboard.results.result import Result
from purification_bench.leaderboard.results.store import Store
from purification_bench.leaderboard.results.verdicts import Verdicts

GRADIENT_IMAGES = 500
"""Clean images whose gradients are probed."""
PLANTED_IMAGES = 16
"""Images that an adversarial example is planted beside."""
EXAMPLES = 8
"""Images kept beside each result for the gallery."""

Advance = Callable[[int], None]


class Progress(Protocol):
    """Where a run tells how far it is."""

    def task(self, text: str, total: int) -> contextlib.AbstractContextManager[Advance]:
        """Open a piece of work of ``total`` steps; the context gives the function that advances it."""

    def cell_done(self, result: Result) -> None:
        """Take note of a cell that has just been stored."""


@dataclass
class Outcome:
    """What a run did."""

    computed: int = 0
    kept: int = 0
    failed: list[Result] = field(default_factory=list)


def execute(plan: Plan, store: Store, device: torch.device, force: bool, progress: Progress) -> Outcome:
    """Compute the cells that ``store`` lacks (or that failed there; all with ``force``), one result at a time."""
    outcome = Outcome()
    for group in plan.groups:
        missing = [cell for cell in group.cells if force or not _is_stored(store, cell)]
        outcome.kept += len(group.cells) - len(missing)
        runner = _GroupRunner(group, store, device, force, progress, describe(device))
        for result in runner.run(missing):
            outcome.computed += 1
            if not result.ok:
                outcome.failed.append(result)
            progress.cell_done(result)
    return outcome


def missing_cells(plan: Plan, store: Store) -> list[Cell]:
    """Return the cells of ``plan`` that ``store`` lacks, or holds as failed."""
    return [cell for cell in plan.cells if not _is_stored(store, cell)]


def _is_stored(store: Store, cell: Cell) -> bool:
    result = store.get(cell.identity, cell.key)
    return result is not None and result.ok


@dataclass
class _GroupRunner:
    """One group's cells: attack by attack, so that only one attack's images are in memory."""

    group: Group
    store: Store
    device: torch.device
    force: bool
    progress: Progress
    environment: dict[str, Any]
    clean: dict[str, Verdicts | str] = field(default_factory=dict)
    """For each defense its verdicts on clean images, or why there are none."""
    judges: dict[str, Judge] = field(default_factory=dict)
    kept: dict[str, dict[str, bool | float]] = field(default_factory=dict)
    """For each defense, how it keeps to its contract."""
    gradients: dict[tuple[str, str], dict[str, float]] = field(default_factory=dict)
    """For each attacked model (estimator, defense) what its gradients on clean images are worth."""

    def run(self, cells: list[Cell]) -> Iterator[Result]:
        """Compute ``cells``, storing and yielding each result as it is done."""
        accuracy = [cell for cell in cells if cell.kind == "accuracy"]
        timed = [cell for cell in cells if cell.kind == "latency"]
        for subject in {cell.subject.spec.label: cell.subject for cell in accuracy}.values():
            self._judge_clean(subject)
        for cell in accuracy:
            if cell.attack is None:
                yield self._put(self._accuracy(cell, None))
        for cells_of_one_attack in by_attack(accuracy):
            yield from self._attack(cells_of_one_attack)
        for batch in dict.fromkeys(int(cell.identity["batch"]) for cell in timed):
            yield from self._latency([cell for cell in timed if cell.identity["batch"] == batch], batch)

    def _attack(self, cells: list[Cell]) -> Iterator[Result]:
        """Attack once, at all sizes, and judge every cell that shares the images."""
        attack, specs = _attack_of(cells[0]), {cell.eps: _spec_of(cell) for cell in cells}
        runs = 1 if attack.shares_sizes and not _spec_of(cells[0]).sees_defense else len(specs)
        try:
            victim = self._victim(cells[0])
        except Exception as error:
            for cell in cells:
                yield self._put(self._failed(cell, _reason(error)))
            return
        with self.progress.task(self._what(cells[0]), len(self.group.images.y) * runs) as advance:
            sets, failed = adversarial.obtain(
                self.store, self.group, attack, list(specs.values()), victim, self.device, self.force, advance
            )
        for cell in cells:
            if cell.eps in failed:
                yield self._put(self._failed(cell, f"attack failed: {_reason(failed[cell.eps])}"))
            else:
                result = self._accuracy(cell, sets[cell.eps], victim)
                yield self._put(result, self._examples(cell, sets[cell.eps]))

    def _victim(self, cell: Cell) -> Victim:
        """Return what the cell's attacker sees."""
        spec, subject, batch = _spec_of(cell), cell.subject, int(cell.identity["batch"]["attack"])
        if not spec.sees_defense:
            return Victim(cell.substitute or self.group.classifier, batch)
        defense = cell.stand_in or subject.defense
        if defense is None:
            raise RuntimeError(subject.failure or "not made")
        seed = self._frozen_seed(subject.spec.label)
        model = views.view(spec.estimator, self.group.classifier, defense, seed)
        return Victim(model, batch, spec.eot_samples, {"defense": subject.identity, "batch": cell.identity["batch"]})

    def _frozen_seed(self, defense: str) -> int:
        return keyed_seed("frozen", defense, self.group.identity["seed"])

    def _gradients(self, victim: Victim) -> dict[str, float]:
        """How many of the gradients on the first clean images are useless to any attack."""
        x, y = (part[:GRADIENT_IMAGES] for part in self.group.images)
        counts = np.zeros(2)
        with seeded(keyed_seed("gradients", self.group.identity["seed"]), self.device):
            for images, labels in zip(x.split(victim.batch), y.split(victim.batch), strict=True):
                counts += gradient_shares(victim.model, images.to(self.device), labels.to(self.device))
        shares = counts / len(y)
        return {"zero_gradient_share": float(shares[0]), "non_finite_gradient_share": float(shares[1])}

    def _judge_clean(self, subject: Subject) -> None:
        label = subject.spec.label
        if subject.defense is None:
            self.clean[label] = subject.failure or "not made"
            return
        plan = self.group.identity["batch"]
        judge = Judge(
            subject.defense, self.group.classifier, label, bool(subject.facts["stochastic"]), subject.draws,
            self.group.identity["seed"], plan["purify"], self.device,
            self.group.protocol.box,
        )  # fmt: skip
        self.judges[label] = judge
        x, y = self.group.images
        try:
            with self.progress.task(f"{self._where()}: {label} on clean images", len(y) * judge.passes) as advance:
                self.clean[label] = judge.verdicts(x, y, advance)
            self.kept[label] = consistency.probe(judge, x)
        except Exception as error:
            self.clean[label] = _reason(error)

    def _accuracy(self, cell: Cell, made: AdversarialSet | None, victim: Victim | None = None) -> Result:
        label = cell.subject.spec.label
        clean = self.clean[label]
        if isinstance(clean, str):
            return self._failed(cell, clean)
        judge = self.judges[label]
        judge.seconds, judge.first_batch = {"purify": 0.0, "classify": 0.0}, None
        attacked, probes = None, {}
        if made is not None and victim is not None:
            try:
                text = f"{self._where()}: {label} under {cell.identity['attack']['label']} {cell.eps:g}"
                if _spec_of(cell).estimator == "frozen":
                    attacked = self._verdicts_of_one_draw(made, judge, victim.batch)
                else:
                    with self.progress.task(text, len(made.x_adv) * judge.passes) as advance:
                        attacked = judge.verdicts(made.x_adv, self.group.images.y, advance)
                probes = self._probes(cell, made, victim)
            except Exception as error:
                return self._failed(cell, _reason(error))
        return Result(
            identity=cell.identity, status="ok", facts=cell.subject.facts,
            declared=declared_before_3(cell.identity), environment=self.environment,
            created=_now(), clean=clean, adversarial=attacked,
            probes={**probes, **self.kept[label]},
            seconds={**judge.seconds, "attack": made.seconds} if made else {},
            adversarial_set={"key": made.key, "sha256": made.sha256} if made else None,
        )  # fmt: skip

    @torch.no_grad()
    def _verdicts_of_one_draw(self, made: AdversarialSet, judge: Judge, batch: int) -> Verdicts:
        """Judge under the very randomness that was attacked, in the attack's batches."""
        model = views.view("frozen", self.group.classifier, judge.defense, self._frozen_seed(judge.label))
        batches = zip(made.x_adv.split(batch), self.group.images.y.split(batch), strict=True)
        right = [model(x.to(self.device)).argmax(dim=1).cpu() == y for x, y in batches]
        bits = torch.cat(right).to(torch.uint8).numpy()
        return Verdicts(1, bits, bits)

    def _probes(self, cell: Cell, made: AdversarialSet, victim: Victim) -> dict[str, float]:
        if _attack_of(cell).needs != "gradient":
            return dict(made.probes)
        place = _seen(cell)
        if place not in self.gradients:
            self.gradients[place] = self._gradients(victim)
        return {**made.probes, **self.gradients[place], **self._planted(cell, victim)}

    def _planted(self, cell: Cell, victim: Victim) -> dict[str, float]:
        """Whether PGD with the true gradient finds, at the mark, examples that are known to be there."""
        attack, spec, last = _attack_of(cell), _spec_of(cell), planted.last_layer(self.group.classifier)
        if spec.estimator != "full" or attack.spec.name != "pgd" or cell.eps != self.group.dataset.eps or last is None:
            return {}
        x = self.group.images.x[:PLANTED_IMAGES].to(self.device)
        seed = keyed_seed("planted", self.group.identity["seed"])
        return planted.found(attack, victim.model, last, x, cell.eps, seed, victim.samples)

    def _latency(self, cells: list[Cell], batch: int) -> Iterator[Result]:
        """Time the defenses that can be timed, together; the others get their reason."""
        x = self.group.images.x
        able: dict[str, Defense] = {}
        for cell in cells:
            reason = self._cannot_be_timed(cell.subject, x, batch)
            if cell.subject.defense is not None and reason is None:
                able[cell.subject.spec.label] = cell.subject.defense
            else:
                yield self._put(self._failed(cell, str(reason)))
        with self.progress.task(f"{self._where()}: latency", 1) as advance:
            timed = latency.measure(able, self.group.classifier, x, batch, self.device)
            advance(1)
        for cell in cells:
            found = timed.get(cell.subject.spec.label)
            if found is not None:
                yield self._put(
                    Result(
                        cell.identity,
                        "ok",
                        cell.subject.facts,
                        declared_before_3(cell.identity),
                        self.environment,
                        _now(),
                        latency=found,
                    )
                )

    def _cannot_be_timed(self, subject: Subject, x: Tensor, batch: int) -> str | None:
        clean = self.clean.get(subject.spec.label)
        if subject.defense is None or isinstance(clean, str):
            return subject.failure or str(clean)
        try:
            latency.rehearse(subject.defense, self.group.classifier, x, batch, self.device)
        except Exception as error:
            return _reason(error)
        return None

    def _examples(self, cell: Cell, made: AdversarialSet) -> dict[str, NDArray[np.uint8]] | None:
        judge = self.judges.get(cell.subject.spec.label)
        if judge is None:
            return None
        x_adv = made.x_adv[:EXAMPLES]
        purified = judge.first_batch
        if purified is None or len(purified) < len(x_adv):  # judged within the attacked model, or in small batches
            try:
                purified = judge.purify(x_adv, 0, 0)
            except Exception:  # the cell's own result says why
                return None
        return {
            "clean": _pixels(self.group.images.x[:EXAMPLES]),
            "adversarial": _pixels(x_adv),
            "purified": _pixels(purified[:EXAMPLES]),
        }

    def _put(self, result: Result, examples: dict[str, NDArray[np.uint8]] | None = None) -> Result:
        self.store.put(result, examples if result.ok else None)
        return result

    def _failed(self, cell: Cell, reason: str) -> Result:
        declared = declared_before_3(cell.identity)
        return Result(cell.identity, "error", cell.subject.facts, declared, self.environment, _now(), error=reason)

    def _what(self, cell: Cell) -> str:
        spec = _spec_of(cell)
        against = f" ({spec.estimator}) against {cell.subject.spec.label}" if spec.sees_defense else ""
        return f"{self._where()}: {spec.attack.label}{against}"

    def _where(self) -> str:
        return f"{self.group.dataset.spec.label}, {self.group.classifier.spec.label}"


def _seen(cell: Cell) -> tuple[str, str]:
    """Name the model that a cell's attacker sees: no defense, if it knows none."""
    spec = _spec_of(cell)
    return spec.estimator, cell.subject.spec.label if spec.sees_defense else ""


def _attack_of(cell: Cell) -> Attack:
    if cell.attack is None:
        raise ValueError("a cell of clean images has no attack")
    return cell.attack


def _spec_of(cell: Cell) -> AttackSpec:
    if cell.spec is None:
        raise ValueError("a cell of clean images has no attack")
    return cell.spec


def _pixels(x: Tensor) -> NDArray[np.uint8]:
    pixels: NDArray[np.uint8] = (x.clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()
    return pixels


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
