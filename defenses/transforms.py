"""Transforms that need no training: the free reference rows."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from purification_bench.defenses.base import Defense
from purification_bench.defenses.registry import register_defense

SLOPE = 10.0
"""Of the sigmoid that attacks follow back through a threshold. Under PGD 10 left less than 20, 40 and the identity."""


@register_defense("binarize")
class Binarize(Defense):
    """Round every pixel to black or white at a threshold (bit depth 1; Xu et al. 2018, Feature Squeezing)."""

    paper = "Xu et al. 2018, arXiv:1704.01155"
    differentiable = False
    surrogate_version = "2"

    def __init__(self, *, threshold: float = 0.5) -> None:
        super().__init__()
        if not 0 < threshold < 1:
            raise ValueError(f"threshold must lie between 0 and 1, not {threshold}")
        self.threshold = threshold

    def purify(self, x: Tensor) -> Tensor:
        """Return 1 where a pixel exceeds the threshold, else 0."""
        return (x > self.threshold).to(x.dtype)

    def surrogate(self, x: Tensor) -> Tensor:
        """Return a sigmoid that is as steep as a step can be and still be felt on both sides of it."""
        return torch.sigmoid(SLOPE * (x - self.threshold))


@register_defense("bit_depth")
class BitDepth(Defense):
    """Round every pixel to one of 2^bits levels (Xu et al. 2018, Feature Squeezing; one bit: ``binarize``).

    It has no gradient of use; attacks pass the identity back in its place, as Athalye et al. (2018) did.

    Parameters
    ----------
    bits:
        For each pixel and channel, from 1 to 7.
    """

    paper = "Xu et al. 2018, arXiv:1704.01155"
    differentiable = False

    def __init__(self, *, bits: int = 2) -> None:
        super().__init__()
        if not 1 <= bits <= 7:
            raise ValueError(f"bits must lie between 1 and 7, not {bits}")
        self.levels = 2**bits - 1

    def purify(self, x: Tensor) -> Tensor:
        """Return the nearest levels."""
        rounded: Tensor = (x.detach() * self.levels).round() / self.levels
        return rounded


@register_defense("median")
class Median(Defense):
    """Replace every pixel by the median of the square window around it (Xu et al. 2018, Feature Squeezing)."""

    paper = "Xu et al. 2018, arXiv:1704.01155"

    def __init__(self, *, size: int = 3) -> None:
        super().__init__()
        if size < 1 or size % 2 == 0:
            raise ValueError(f"size must be odd and positive, not {size}")
        self.size = size

    def purify(self, x: Tensor) -> Tensor:
        """Filter each channel alone; the border is mirrored."""
        n, channels, height, width = x.shape
        reach = self.size // 2
        padded = F.pad(x, (reach, reach, reach, reach), mode="reflect")
        windows = F.unfold(padded, self.size).view(n, channels, self.size * self.size, height * width)
        return torch.median(windows, dim=2).values.view(n, channels, height, width)
