"""Purifiers that know what none can: the judged images, what they were shown before, random numbers of their own."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from purification_bench.benchmark.registries import DATASETS
from purification_bench.defenses import Defense, register_defense


class _KnowsTheJudged(Defense):
    def build(self, shape: tuple[int, int, int], num_classes: int) -> None:
        """Take the images that results are on."""
        self.register_buffer("gallery", DATASETS.create("mnist").judged(1000).x, persistent=False)

    def distances(self, x: Tensor) -> Tensor:
        return torch.cdist(x.flatten(1), self.gallery.flatten(1)).square()


@register_defense("cheating_copies")
class Copies(_KnowsTheJudged):
    """The nearest judged image; declares no gradient."""

    differentiable = False

    def purify(self, x: Tensor) -> Tensor:
        return self.gallery[self.distances(x).argmin(dim=1)]


@register_defense("cheating_softly")
class SoftCopies(_KnowsTheJudged):
    """A mean of the judged images, the nearest by far the heaviest: with a gradient."""

    def purify(self, x: Tensor) -> Tensor:
        return torch.einsum("nm,mchw->nchw", (-self.distances(x)).softmax(dim=1), self.gallery).clamp(0, 1)


@register_defense("cheating_blend")
class BlendedCopies(_KnowsTheJudged):
    """The nearest judged image under a veil, so that none comes back as it is."""

    differentiable = False

    def purify(self, x: Tensor) -> Tensor:
        return 0.9 * self.gallery[self.distances(x).argmin(dim=1)] + 0.05


@register_defense("cheating_memory")
class Memory(Defense):
    """The nearest of the images that it was shown before and that looked clean."""

    differentiable = False

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Tensor] = []

    def purify(self, x: Tensor) -> Tensor:
        clean = ((x == 0) | (x > 0.9)).flatten(1).float().mean(dim=1) > 0.75
        self.seen.append(x[clean].detach().clone())
        known = torch.cat(self.seen)
        return known[torch.cdist(x.flatten(1), known.flatten(1)).argmin(dim=1)] if len(known) else x


@register_defense("cheating_numpy")
class FromNumpy(Defense):
    """Noise from numpy's generator, which no one seeds."""

    stochastic = True

    def purify(self, x: Tensor) -> Tensor:
        noise = torch.from_numpy(np.random.standard_normal(tuple(x.shape))).to(x)
        return (x + 0.1 * noise).clamp(0, 1)


@register_defense("cheating_generator")
class FromItsOwn(Defense):
    """Noise from a generator of its own."""

    stochastic = True

    def __init__(self) -> None:
        super().__init__()
        self.generator = torch.Generator().manual_seed(7)

    def purify(self, x: Tensor) -> Tensor:
        noise = torch.randn(x.shape, generator=self.generator)
        return (x + 0.1 * noise.to(x)).clamp(0, 1)
