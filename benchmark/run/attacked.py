"""A unit of one attack: its images made or read once, then every cell that shares them is judged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from purification_bench.attacks import planted_examples, views
from purification_bench.attacks.base import Attack
from purification_bench.attacks.seeding import seeded
from purification_bench.attacks.submitted import Submission, Submitted
from purification_bench.attacks.threat import PlannedAttack
from purification_bench.attacks.traces import gradient_shares
from purification_bench.benchmark.assets.data import Images
from purification_bench.benchmark.registries import ATTACKS
from purification_bench.benchmark.run import adversarial
from purification_bench.benchmark.run.adversarial import AdversarialSet, Assault, Victim
from purification_bench.benchmark.run.cells import AccuracyCell, Setting
from purification_bench.benchmark.run.examples import examples
from purification_bench.benchmark.run.identity import attack_identity
from purification_bench.benchmark.run.judge import Judge, Judgement
from purification_bench.benchmark.run.made import CellResult, Made, result_of
from purification_bench.benchmark.run.progress import Advance, Progress
from purification_bench.benchmark.run.pursued import confirmed, found_smaller
from purification_bench.benchmark.run.workbench import CannotBeJudgedError, Workbench
from purification_bench.benchmark.run.worst_case import Mask, right_before
from purification_bench.benchmark.seeds import keyed_seed
from purification_bench.defenses.errors import UserError
from purification_bench.defenses.faults import FAULTS, told
from purification_bench.leaderboard.results.canonical import digest
from purification_bench.leaderboard.results.sizes import in_words
from purification_bench.leaderboard.results.store import Store
from purification_bench.leaderboard.results.verdicts import Verdicts

GRADIENT_IMAGES = 500
"""Clean images whose gradients are probed."""
PLANTED_IMAGES = 16
"""Images that an adversarial example is planted beside."""


@dataclass(frozen=True)
class AttackRun:
    """One run of one attack, and the cells that it serves.

    Parameters
    ----------
    store:
        Where sets are read from that are there already, and what earlier attacks broke.
    anew:
        Make all sets.
    """

    cells: tuple[AccuracyCell, ...]
    workbench: Workbench
    store: Store | None
    progress: Progress
    anew: bool = False

    def results(self) -> Iterator[Made]:
        """Yield each set as it is made, then each cell's result."""
        try:
            victim = self._victim()
        except CannotBeJudgedError as error:
            yield from (self._failed(cell, str(error)) for cell in self.cells)
            return
        sets: dict[float, AdversarialSet | BaseException] = {}
        for eps, made, is_new in self._sets(victim):
            sets[eps] = made
            if is_new and isinstance(made, AdversarialSet):
                yield made
        for cell in self.cells:
            of_its_size = sets[cell.eps]
            if isinstance(of_its_size, BaseException):
                yield self._failed(cell, f"attack failed: {told(of_its_size)}")
            else:
                yield self._judged(cell, of_its_size, victim)

    @cached_property
    def _setting(self) -> Setting:
        return self.cells[0].setting

    @cached_property
    def _use(self) -> PlannedAttack:
        """What the cells share of their attack: all but its size."""
        return attack_of(self.cells[0])

    @cached_property
    def _images(self) -> Images:
        return self.workbench.images(self._setting)

    @cached_property
    def _left(self) -> Mask | None:
        """Which images are attacked; None: all."""
        if self._use.images is not None:
            mask = np.zeros(self._setting.n, dtype=np.bool_)
            mask[list(self._use.images)] = True
            return mask
        if self.cells[0].after is None:
            return None
        if self.store is None:
            raise ValueError("what earlier attacks broke is read from a store")
        return right_before(self.cells[0], self.store)

    @cached_property
    def _attacked(self) -> Images:
        """The images that are attacked."""
        x, y = self._images
        return self._images if self._left is None else Images(x[self._left], y[self._left])

    @cached_property
    def _attack(self) -> Attack:
        if self._use.file is not None:
            held = self._use.images
            return Submitted(Submission.read(Path(self._use.file)), self._images.x[list(held) if held else slice(None)])
        made: Attack = ATTACKS.create(self._use.attack)
        return made

    def _victim(self) -> Victim:
        """Return what the attacker sees; raise ``CannotBeJudgedError`` where there is none."""
        use, bench = self._use, self.workbench
        if not use.of.depends_on_defense:
            substitute = bench.substitute(self._setting, use.substitute) if use.substitute else None
            return Victim(substitute or bench.classifier(self._setting), use.batch)
        defense = bench.defense(self._setting, use.stand_in or self.cells[0].defense.spec)
        seed = self._seed_of_one_draw(self.cells[0].defense.spec.label)
        model = views.view(use.threat, bench.classifier(self._setting), defense, seed)
        if use.stand_in and isinstance(model, views.View):
            model.exact = False
        if use.of.learns and isinstance(model, views.Learned):
            model.network = bench.imitation(self._setting, self.cells[0].defense, self.progress)
        return Victim(model, use.batch, use.eot_samples, seen=True)

    def _seed_of_one_draw(self, defense: str) -> int:
        return keyed_seed("frozen", defense, self._setting.seed)

    def _sets(self, victim: Victim) -> Iterator[tuple[float, AdversarialSet | BaseException, bool]]:
        """Yield, for each size, its set or what the attack raised, and whether it is new."""
        identities = {cell.eps: attack_identity(attack_of(cell)) for cell in self.cells}
        keys = {eps: self._set_key(described) for eps, described in identities.items()}
        known = None if self.anew else self.store
        stored = {eps: adversarial.read(known, key) if known else None for eps, key in keys.items()}
        yield from ((eps, known, False) for eps, known in stored.items() if known is not None)
        missing = [eps for eps, known in stored.items() if known is None]
        with self._progress(victim, missing) as advance:
            assault = Assault(self._attack, victim, self._attacked, self._setting, self.workbench.device, advance)
            for sizes in assault.sizes_together(missing):
                yield from self._made(assault, sizes, keys, identities)

    def _made(
        self,
        assault: Assault,
        sizes: Sequence[float],
        keys: Mapping[float, str],
        identities: Mapping[float, Mapping[str, Any]],
    ) -> Iterator[tuple[float, AdversarialSet | BaseException, bool]]:
        try:
            with self.workbench.profile.phase("attack"):
                attacked = self._run(assault, sizes)
        except FAULTS as error:
            yield from ((eps, error, True) for eps in sizes)
            return
        for eps, (pixels, probes, seconds) in zip(sizes, attacked, strict=True):
            x_adv = self._in_place(pixels)
            sha256 = adversarial.pixels_digest(x_adv)
            yield eps, AdversarialSet(keys[eps], sha256, x_adv, probes, seconds, identities[eps]), True

    def _run(self, assault: Assault, sizes: Sequence[float]) -> list[tuple[Tensor, dict[str, float], float]]:
        if not len(self._attacked.y):
            return [(self._attacked.x, {}, 0.0) for _ in sizes]
        if self._left is None or not self._attack.pursues:
            return assault.run(sizes)
        broken = confirmed(self.cells[0], self.workbench)
        smaller = found_smaller(self.cells[0], self.store) if self.store else None
        return [assault.pursue(eps, broken, None if smaller is None else smaller[self._left]) for eps in sizes]

    def _in_place(self, x_adv: Tensor) -> Tensor:
        """Return attacked images among the clean ones that were passed over."""
        if self._left is None:
            return x_adv
        whole = self._images.x.clone()
        whole[self._left] = x_adv
        return whole

    def _progress(self, victim: Victim, sizes: Sequence[float]) -> AbstractContextManager[Advance]:
        use = self._use
        against = f" ({use.threat}) against {self.cells[0].defense.spec.label}" if victim.seen else ""
        runs = 1 if self._attack.shares_sizes and not victim.seen else len(sizes)
        text = f"{self._setting.where}: {use.attack.label}{against}"
        return self.progress.task(text, len(self._attacked.y) * runs)

    def _set_key(self, attack: Mapping[str, Any]) -> str:
        """Return the digest of what a set depends on: of no defense, where none is seen."""
        cell = self.cells[0]
        seen = {"defense": cell.defense.identity, "batch": cell.identity["batch"]} if cell.seen else {}
        if cell.after is not None:
            seen["after"] = cell.identity["after"]
        return digest({**self._setting.identity, **seen, "attack": attack})

    def _judged(self, cell: AccuracyCell, made: AdversarialSet, victim: Victim) -> Made:
        """Judge one cell on its images."""
        bench = self.workbench
        try:
            only = None if self._use.images is None else self._left
            clean = bench.on_clean(cell.setting, cell.defense, self.progress, only)
            judge = bench.judge(cell.setting, cell.defense)
            judgement = self._verdicts(cell, judge, made, victim.batch)
            with bench.profile.phase("probe"):
                probes = self._probes(cell, made, victim)
        except (CannotBeJudgedError, UserError) as error:
            return self._failed(cell, str(error))
        except FAULTS as error:
            return self._failed(cell, told(error))
        result = result_of(
            bench,
            cell,
            clean=clean.verdicts,
            adversarial=judgement.verdicts,
            probes={**probes, **judgement.probes, **clean.contract},
            seconds={**judgement.seconds, "attack": made.seconds},
            adversarial_set={"key": made.key, "sha256": made.sha256},
        )
        shown = examples(judge, judgement.purified, self._images, made.x_adv) if self._left is None else None
        return CellResult(result, shown)

    def _verdicts(self, cell: AccuracyCell, judge: Judge, made: AdversarialSet, batch: int) -> Judgement:
        if self._use.of.judged_on_view:
            return self._on_the_view(judge, made.x_adv, batch)
        x_adv = made.x_adv if self._left is None else made.x_adv[self._left]
        text = f"{cell.setting.where}: {judge.label} under {self._use.attack.label} {in_words(cell.eps)}"
        with self.progress.task(text, len(x_adv) * cell.defense.passes) as advance:
            judged = judge.judge(x_adv, self._attacked.y, advance)
        return judged if self._left is None else replace(judged, verdicts=judged.verdicts.among(self._left))

    @torch.no_grad()
    def _on_the_view(self, judge: Judge, x_adv: Tensor, batch: int) -> Judgement:
        """Judge under the very randomness that was attacked, in the attack's batches."""
        model = views.view(self._use.threat, judge.classifier, judge.defense, self._seed_of_one_draw(judge.label))
        batches = list(zip(x_adv.split(batch), self._images.y.split(batch), strict=True))
        right = torch.cat([model(x.to(judge.device)).argmax(dim=1).cpu() == y for x, y in batches])
        refused = torch.cat([judge.rejected(x, k * batch, 0) for k, (x, _) in enumerate(batches)])
        bits = (right & ~refused).to(torch.uint8).numpy()
        rejected = float(refused.float().mean()) if judge.detects else None
        return Judgement(Verdicts(1, bits, bits), {"purify": 0.0, "classify": 0.0}, x_adv[:0], rejected)

    def _probes(self, cell: AccuracyCell, made: AdversarialSet, victim: Victim) -> dict[str, float]:
        """Return what the attack left behind for the audit."""
        if self._attack.needs != "gradient" or self._left is not None:
            return dict(made.probes)
        gradients = self.workbench.once_for(cell, "gradients", lambda: self._gradients(victim))
        return {**made.probes, **gradients, **self._planted(cell, victim)}

    def _gradients(self, victim: Victim) -> dict[str, float]:
        """Say how many of the gradients on the first clean images are useless to any attack."""
        x, y = (part[:GRADIENT_IMAGES] for part in self._images)
        counts, device = np.zeros(2), self.workbench.device
        with seeded(keyed_seed("gradients", self._setting.seed), device):
            for images, labels in zip(x.split(victim.batch), y.split(victim.batch), strict=True):
                counts += gradient_shares(victim.model, images.to(device), labels.to(device))
        shares = counts / len(y)
        return {"zero_gradient_share": float(shares[0]), "non_finite_gradient_share": float(shares[1])}

    def _planted(self, cell: AccuracyCell, victim: Victim) -> dict[str, float]:
        """Say whether the true gradient leads, at the mark, to examples that are known to be there."""
        bench, attack = self.workbench, self._attack
        last = planted_examples.last_layer(bench.classifier(cell.setting))
        at_mark = cell.eps == bench.mark(cell.setting)
        if last is None or not (self._use.of.gradient == "true" and attack.probes_planted and at_mark):
            return {}
        x = self._images.x[:PLANTED_IMAGES].to(bench.device)
        seed = keyed_seed("planted", cell.setting.seed)
        return planted_examples.search(attack, victim.model, last, x, cell.eps, seed, victim.samples)

    def _failed(self, cell: AccuracyCell, why: str) -> CellResult:
        return CellResult(result_of(self.workbench, cell, error=why))


def attack_of(cell: AccuracyCell) -> PlannedAttack:
    """Return a cell's attack; raise ``ValueError`` for a cell of clean images."""
    if cell.attack is None:
        raise ValueError("a cell of clean images has no attack")
    return cell.attack
