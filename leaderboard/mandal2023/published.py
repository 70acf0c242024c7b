"""The seed paper's own numbers (Mandal 2023, Tables 1 to 3), as its text prints them."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path

AUTO_ENCODERS = {"fgsm": "cae", "pgd": "cae[against=pgd,eps=0.15]"}
"""The paper's own auto-encoders, by the attack that each was trained on: what their rows are called."""
FILE = Path(__file__).parent / "published.csv"


@dataclass(frozen=True)
class Published:
    """One number of the paper."""

    table: str
    dataset: str
    defense: str
    attack: str
    """``fgsm`` or ``pgd``; empty for clean images."""
    eps: float
    """In pixel units of [0, 1]; 0 for clean images."""
    metric: str
    """``accuracy``, or ``latency_seconds``."""
    value: float
    """A share in [0, 1], or seconds."""


@cache
def published() -> tuple[Published, ...]:
    """Return every number of the file, in its order."""
    with FILE.open(newline="", encoding="utf-8") as file:
        return tuple(_number(row) for row in csv.DictReader(file))


def _number(row: dict[str, str]) -> Published:
    table, dataset, defense, attack = (row[name] for name in ("table", "dataset", "defense", "attack"))
    return Published(table, dataset, defense, attack, float(row["eps"]), row["metric"], float(row["value"]))


def of_table(table: str, metric: str = "accuracy") -> list[Published]:
    """Return one table's numbers."""
    return [number for number in published() if (number.table, number.metric) == (table, metric)]


def sizes(table: str) -> list[float]:
    """Return the sizes of one table's attack, clean images left out."""
    return sorted({number.eps for number in of_table(table) if number.eps})
