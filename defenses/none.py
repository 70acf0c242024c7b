"""No defense: the reference row of every table."""

from __future__ import annotations

from torch import Tensor

from purification_bench.defenses.base import Defense
from purification_bench.defenses.registry import register_defense


@register_defense("none")
class NoDefense(Defense):
    """The bare classifier: the image is passed on as it is."""

    undefended = True

    def purify(self, x: Tensor) -> Tensor:
        """Return ``x``."""
        return x
