"""The list of attacks."""

from __future__ import annotations

from purification_bench.defenses.registry import Registry

ATTACKS = Registry("attack", "purification_bench.attacks")
register_attack = ATTACKS.register
