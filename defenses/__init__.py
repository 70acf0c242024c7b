"""Purification defenses, one method a file. To add one, see ``Defense`` and ``register_defense``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from purification_bench.defenses.registry import register_defense

if TYPE_CHECKING:
    from purification_bench.defenses.base import DefendedClassifier, Defense

__all__ = ["DefendedClassifier", "Defense", "register_defense"]


def __getattr__(name: str) -> Any:
    """Import torch only when a class that needs it is asked for."""
    if name in ("DefendedClassifier", "Defense"):
        from purification_bench.defenses import base

        return getattr(base, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
