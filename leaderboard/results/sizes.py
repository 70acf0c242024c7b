"""The size of an attack, for people."""

from __future__ import annotations

LEVELS = 255
"""Steps of an 8-bit pixel."""


def in_words(eps: float) -> str:
    """Return a size in pixel units as people write it: a short decimal, else as a fraction of 255 if it is one.

    >>> in_words(0.3), in_words(8 / 255), in_words(0.031373), in_words(1 / 3)
    ('0.3', '8/255', '8/255', '0.333333')
    """
    levels = round(eps * LEVELS)
    short = f"{eps:.4g}"
    if float(short) != eps and levels and abs(eps * LEVELS - levels) < 1e-3:
        return f"{levels}/{LEVELS}"
    return f"{eps:g}"
