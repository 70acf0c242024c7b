"""The list of attacks."""

from __future__ import annotations

from defenses.registry import Registry

ATTACKS = Registry("attack", "attacks")
register_attack = ATTACKS.register
