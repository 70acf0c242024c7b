"""Certifying the vote of a defense that begins with Gaussian noise (Cohen et al. 2019, section 3.2)."""

from __future__ import annotations

import datetime
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from purification_bench.attacks.seeding import seeded
from purification_bench.benchmark.run.cells import Judged, Setting
from purification_bench.benchmark.run.workbench import CannotBeJudgedError, Workbench
from purification_bench.benchmark.seeds import keyed_seed
from purification_bench.defenses.base import Defense
from purification_bench.defenses.checked import check_purified
from purification_bench.defenses.faults import FAULTS, reason
from purification_bench.leaderboard.results.canonical import digest
from purification_bench.leaderboard.results.certificate import Certificate

VERSION = "1"
"""Raise it when the votes of the same defense change: they are then counted anew."""


@dataclass(frozen=True)
class Certifying:
    """One defense whose vote is to be certified on the judged images of a setting.

    Parameters
    ----------
    selection:
        Draws that choose an image's class.
    samples:
        Draws, others, that the class is counted in.
    """

    setting: Setting
    judged: Judged
    selection: int
    samples: int

    @property
    def identity(self) -> dict[str, Any]:
        """What the votes depend on."""
        asked = {"kind": "certificate", "version": VERSION, "selection": self.selection, "samples": self.samples}
        return {**asked, "setting": dict(self.setting.identity), "defense": dict(self.judged.identity)}

    @property
    def key(self) -> str:
        """The digest of the identity."""
        return digest(self.identity)

    def run(self, bench: Workbench, advance: Callable[[int], None]) -> Certificate:
        """Count the votes; ``advance`` is told of each image done.

        Raises ``CannotBeJudgedError`` for a defense that fails, or says nothing of use of its noise.
        """
        defense, classifier = bench.defense(self.setting, self.judged.spec), bench.classifier(self.setting)
        sigma = _checked_sigma(defense)
        x, y = bench.images(self.setting)
        right, counts, begun = [], [], time.perf_counter()
        try:
            for k, (image, label) in enumerate(zip(x, y, strict=True)):
                chosen, count = self._votes(classifier, defense, image.to(bench.device), k)
                right.append(chosen == int(label))
                counts.append(count)
                advance(1)
        except CannotBeJudgedError:
            raise
        except FAULTS as error:
            raise CannotBeJudgedError(reason(error)) from error
        return Certificate(
            identity=self.identity,
            dataset=self.setting.dataset.label,
            classifier=self.setting.classifier.label,
            defense=self.judged.spec.label,
            seed=self.setting.seed,
            sigma=sigma,
            samples=self.samples,
            right=right,
            counts=counts,
            seconds=time.perf_counter() - begun,
            environment=bench.environment,
            created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        )

    def _votes(self, classifier: nn.Module, defense: Defense, image: Tensor, number: int) -> tuple[int, int]:
        """Return the class that most of the first draws see, and how many of the others see it."""
        key = ("certify", self.judged.spec.label, self.setting.seed, number)
        with seeded(keyed_seed(*key), image.device):
            chosen = int(self._seen(classifier, defense, image, self.selection).mode().values)
            return chosen, int((self._seen(classifier, defense, image, self.samples) == chosen).sum())

    @torch.no_grad()
    def _seen(self, classifier: nn.Module, defense: Defense, image: Tensor, draws: int) -> Tensor:
        """Return the class ``(draws,)`` that the classifier sees in each draw of one image."""
        seen = []
        for batch in image.expand(draws, *image.shape).split(self.setting.batch_size):
            purified = defense.purify(batch.clone())
            check_purified(batch, purified)
            if len(batch) > 1 and torch.equal(purified[0], purified[1]):
                raise CannotBeJudgedError("two draws of one image are the same: there is no noise to certify")
            seen.append(classifier(purified).argmax(dim=1))
        return torch.cat(seen)


def _checked_sigma(defense: Defense) -> float:
    """Return the noise that a defense says it begins with."""
    sigma = defense.smoothing_sigma
    if sigma is None or not 0 < sigma < math.inf:
        raise CannotBeJudgedError(f"its smoothing_sigma is {sigma}, not a deviation of noise")
    return sigma
