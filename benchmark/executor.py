"""Running a plan: adversarial images once for all defenses, each cell judged and stored at once."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attacks.base import Attack
from attacks.probes import gradient_shares
from benchmark import adversarial, latency
from benchmark.adversarial import AdversarialSet
from benchmark.environment import describe
from benchmark.evaluate import Judge
from benchmark.grid import Cell, Group, Plan, Subject
from defenses.base import Defense
from leaderboard.result import Result, Verdicts
from leaderboard.store import Store

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
    agreement: dict[str, bool] = field(default_factory=dict)

    def run(self, cells: list[Cell]) -> Iterator[Result]:
        """Compute ``cells``, storing and yielding each result as it is done."""
        accuracy = [cell for cell in cells if cell.kind == "accuracy"]
        timed = [cell for cell in cells if cell.kind == "latency"]
        for subject in {cell.subject.spec.label: cell.subject for cell in accuracy}.values():
            self._judge_clean(subject)
        for cell in accuracy:
            if cell.attack is None:
                yield self._put(self._accuracy(cell, None))
        for attack, sizes in self.group.attacks().values():
            due = [cell for cell in accuracy if cell.attack is attack]
            if due:
                yield from self._attack(attack, [eps for eps in sizes if any(c.eps == eps for c in due)], due)
        for batch in dict.fromkeys(int(cell.identity["batch"]) for cell in timed):
            yield from self._latency([cell for cell in timed if cell.identity["batch"] == batch], batch)

    def _attack(self, attack: Attack, sizes: list[float], cells: list[Cell]) -> Iterator[Result]:
        runs = 1 if attack.shares_sizes else len(sizes)
        with self.progress.task(f"{self._where()}: {attack.spec.label}", len(self.group.images.y) * runs) as advance:
            sets, failed = adversarial.obtain(self.store, self.group, attack, sizes, self.device, self.force, advance)
        for cell in cells:
            if cell.eps in failed:
                yield self._put(self._failed(cell, f"attack failed: {_reason(failed[cell.eps])}"))
            else:
                yield self._put(self._accuracy(cell, sets[cell.eps]), self._examples(cell, sets[cell.eps]))

    @cached_property
    def _gradients(self) -> dict[str, float]:
        """How many of the attacked classifier's gradients on the clean images are useless to any attack."""
        x, y = self.group.images
        counts = np.zeros(2)
        for images, labels in zip(x.split(500), y.split(500), strict=True):
            counts += gradient_shares(self.group.classifier, images.to(self.device), labels.to(self.device))
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
        )  # fmt: skip
        self.judges[label] = judge
        x, y = self.group.images
        try:
            with self.progress.task(f"{self._where()}: {label} on clean images", len(y) * judge.passes) as advance:
                self.clean[label] = judge.verdicts(x, y, advance)
                self.agreement[label] = judge.forward_agreement(x)
        except Exception as error:
            self.clean[label] = _reason(error)

    def _accuracy(self, cell: Cell, made: AdversarialSet | None) -> Result:
        label = cell.subject.spec.label
        clean = self.clean[label]
        if isinstance(clean, str):
            return self._failed(cell, clean)
        judge = self.judges[label]
        judge.seconds = {"purify": 0.0, "classify": 0.0}
        attacked, probes = None, {}
        if made is not None:
            try:
                text = f"{self._where()}: {label} under {cell.identity['attack']['label']} {cell.eps:g}"
                with self.progress.task(text, len(made.x_adv) * judge.passes) as advance:
                    attacked = judge.verdicts(made.x_adv, self.group.images.y, advance)
                probes = self._probes(cell, made)
            except Exception as error:
                return self._failed(cell, _reason(error))
        return Result(
            identity=cell.identity, status="ok", facts=cell.subject.facts, environment=self.environment,
            created=_now(), clean=clean, adversarial=attacked,
            probes={**probes, "forward_agreement": self.agreement[label]},
            seconds={**judge.seconds, "attack": made.seconds} if made else {},
            adversarial_set={"key": made.key, "sha256": made.sha256} if made else None,
        )  # fmt: skip

    def _probes(self, cell: Cell, made: AdversarialSet) -> dict[str, float]:
        takes_gradients = cell.attack is not None and cell.attack.gradients_per_image > 0
        return {**made.probes, **(self._gradients if takes_gradients else {})}

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
                    Result(cell.identity, "ok", cell.subject.facts, self.environment, _now(), latency=found)
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
        try:
            purified = judge.purify(x_adv, 0, 0)
        except Exception:  # the cell's own result says why
            return None
        return {
            "clean": _pixels(self.group.images.x[:EXAMPLES]),
            "adversarial": _pixels(x_adv),
            "purified": _pixels(purified),
        }

    def _put(self, result: Result, examples: dict[str, NDArray[np.uint8]] | None = None) -> Result:
        self.store.put(result, examples if result.ok else None)
        return result

    def _failed(self, cell: Cell, reason: str) -> Result:
        return Result(cell.identity, "error", cell.subject.facts, self.environment, _now(), error=reason)

    def _where(self) -> str:
        return f"{self.group.dataset.spec.label}, {self.group.classifier.spec.label}"


def _pixels(x: Tensor) -> NDArray[np.uint8]:
    pixels: NDArray[np.uint8] = (x.clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()
    return pixels


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
