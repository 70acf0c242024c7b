"""The rules that an attack is run and judged under. Data only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Protocol:
    """What attacked images may be, and how the classifier that they meet is run."""

    summary: str
    box: bool = True
    """Attacked images stay in [0, 1]."""
    pixels: int | None = None
    """Images are resized to so many pixels a side before they are attacked; None: the dataset's own size."""
    settled: bool = True
    """The classifier is in eval mode. Where not, dropout and the batch's own statistics stay on, in verdicts too."""


STANDARD = "standard"
PROTOCOLS: Mapping[str, Protocol] = {
    STANDARD: Protocol("the dataset's own pixels, clipped to [0, 1]; the classifier in eval mode"),
    "as-released": Protocol(
        "the seed paper's released code: 32x32 pixels, no clipping, the classifier in training mode",
        box=False, pixels=32, settled=False,
    ),
    "as-released-eval": Protocol("as-released, but the classifier in eval mode", box=False, pixels=32),
}  # fmt: skip
"""All but the standard one stand apart: their rows enter no worst case, no rank and no audit."""
