"""The rules that an attack is run and judged under. Data only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Rules:
    """What attacked images may be, and how the classifier that they meet is run."""

    summary: str
    box: bool = True
    """Attacked images stay in [0, 1]."""
    pixels: int | None = None
    """Images are resized to so many pixels a side before they are attacked; None: the data set's own size."""
    eval_mode: bool = True
    """Where not, the classifier's dropout and its batch norm's own statistics stay on, in verdicts too."""
    compared: bool = False
    """Rows are compared; those of any other protocol stand apart: no worst case, no rank, no audit, no latency."""


STANDARD = "standard"
PROTOCOLS: Mapping[str, Rules] = {
    STANDARD: Rules("images stay in [0, 1], models are in eval mode: the rows that are compared", compared=True),
    "as-released": Rules("the seed paper's released code (Mandal 2023)", box=False, pixels=32, eval_mode=False),
    "as-released-eval": Rules("the same, with the classifier in eval mode", box=False, pixels=32),
}
"""Keys hold the name alone: other rules are another name."""
