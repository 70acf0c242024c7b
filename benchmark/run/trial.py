"""What an image costs that nobody has timed: a few calls."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from purification_bench.attacks.seeding import seeded
from purification_bench.benchmark.run.cells import Setting
from purification_bench.benchmark.run.workbench import Workbench
from purification_bench.defenses.faults import FAULTS
from purification_bench.defenses.spec import Spec

IMAGES, TRIES = 8, 5


@dataclass(frozen=True)
class Trial:
    """Tries classifiers and defenses, which the workbench loads."""

    workbench: Workbench

    def classify(self, setting: Setting) -> float:
        """Return the seconds of classifying one image."""
        return self._seconds(setting, self.workbench.classifier(setting))

    def purify(self, setting: Setting, spec: Spec) -> float:
        """Return the seconds of purifying one image."""
        return self._seconds(setting, lambda x: self.workbench.defense(setting, spec).purify(x))

    @torch.no_grad()
    def _seconds(self, setting: Setting, call: Callable[[torch.Tensor], object]) -> float:
        """Time a call on a few images: the median of several, after one that is not counted.

        Nothing for a call that fails, as its rows will say.
        """
        x = self.workbench.images(setting).x[:IMAGES].to(self.workbench.device)
        spent = []
        with seeded(0, x.device):
            for _ in range(1 + TRIES):
                begun = time.perf_counter()
                try:
                    call(x.clone())
                except FAULTS:
                    break
                spent.append((time.perf_counter() - begun) / len(x))
        return statistics.median(spent[1:] or [0.0])
