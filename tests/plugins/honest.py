"""Honest controls: purifiers that hide nothing, one of no use, and one whose gradient nobody can audit."""

from __future__ import annotations

import torch
from torch import Tensor

from purification_bench.benchmark.registries import DATASETS
from purification_bench.defenses import Defense, register_defense

GALLERY = 2000


@register_defense("honest_constant")
class Constant(Defense):
    """The same grey for everything: right by chance, and never robust."""

    def purify(self, x: Tensor) -> Tensor:
        return 0 * x + 0.5


@register_defense("honest_nearest")
class NearestImage(Defense):
    """The nearest of 2,000 images that no one judges: hard to attack, without a gradient, and says so."""

    differentiable = False

    def build(self, shape: tuple[int, int, int], num_classes: int) -> None:
        """Take the last test images of the fixed order; results are on the first."""
        self.register_buffer("gallery", DATASETS.create("mnist").judged(10000).x[-GALLERY:], persistent=False)

    def purify(self, x: Tensor) -> Tensor:
        nearest = torch.cdist(x.flatten(1), self.gallery.flatten(1)).argmin(dim=1)
        return self.gallery[nearest]
