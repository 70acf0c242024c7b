"""Defenses that break their contract, each in its own way."""

from __future__ import annotations

import torch
from torch import Tensor

from purification_bench.defenses import Defense, register_defense


@register_defense("raises")
class Raises(Defense):
    """Raises."""

    def purify(self, x: Tensor) -> Tensor:
        raise RuntimeError("the purifier is out of order")


@register_defense("crops")
class Crops(Defense):
    """Returns another shape."""

    def purify(self, x: Tensor) -> Tensor:
        return x[..., 1:]


@register_defense("nans")
class Nans(Defense):
    """Returns NaN in one image."""

    def purify(self, x: Tensor) -> Tensor:
        x[0] = torch.nan
        return x


@register_defense("brightens")
class Brightens(Defense):
    """Leaves the box."""

    def purify(self, x: Tensor) -> Tensor:
        return x + 0.5


@register_defense("unmakeable")
class Unmakeable(Defense):
    """Cannot be constructed."""

    def __init__(self) -> None:
        raise RuntimeError("no such thing")

    def purify(self, x):
        return x


@register_defense("shrugs")
class Shrugs(Defense):
    """Returns nothing at all."""

    def purify(self, x: Tensor) -> Tensor:
        return None
