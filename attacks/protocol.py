"""The rules that an attack is run and judged under. Data only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Protocol:
    """What attacked images may be, and how the classifier that they meet is run."""

    box: bool = True
    """Attacked images stay in [0, 1]."""
    pixels: int | None = None
    """Images are resized to so many pixels a side before they are attacked; None: the dataset's own size."""
    eval_mode: bool = True
    """Where not, the classifier's dropout and its batch norm's own statistics stay on, in verdicts too."""


STANDARD = "standard"
PROTOCOLS: Mapping[str, Protocol] = {
    STANDARD: Protocol(),
    "as-released": Protocol(box=False, pixels=32, eval_mode=False),
    "as-released-eval": Protocol(box=False, pixels=32),
}
"""``as-released`` is the seed paper's released code; ``-eval`` the same with the classifier in eval mode. The rows of
all but the standard one stand apart: they enter no worst case, no rank and no audit. Keys hold the name alone: other
rules are another name."""
