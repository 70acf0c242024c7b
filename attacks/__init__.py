"""Attacks: who attacks (``threat``), what an attack is (``base``), and how one is run (``guard``)."""

from __future__ import annotations

from purification_bench.attacks.registry import register_attack

__all__ = ["register_attack"]
