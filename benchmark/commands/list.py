"""``bench list``: what there is to run, read without importing torch."""

from __future__ import annotations

import argparse

from purification_bench.attacks.protocol import PROTOCOLS
from purification_bench.attacks.threat import ADAPTIVE, THREATS, adaptive
from purification_bench.benchmark.assets import zoo
from purification_bench.benchmark.registries import REGISTRIES
from purification_bench.benchmark.run import presets


def run(args: argparse.Namespace) -> int:
    """Print one line for each registered name, preset, or set of weights."""
    if args.what == "zoo":
        rows = [_weights_row(weights) for weights in zoo.entries(zoo.search_path(args.zoo))]
    elif args.what == "presets":
        rows = [[name, presets.summary(name)] for name in presets.names()]
    elif args.what == "threats":
        rows = [[word, threat.summary] for word, threat in THREATS.items()]
        rows.append([ADAPTIVE, f"the baseline and what sees the purifier: {', '.join(adaptive())}"])
    elif args.what == "protocols":
        rows = [[name, rules.summary] for name, rules in PROTOCOLS.items()]
    else:
        rows = [[entry.name, entry.summary, entry.provider] for entry in REGISTRIES[args.what].entries().values()]
    for line in _aligned(rows):
        print(line)
    return 0


def _weights_row(weights: zoo.Weights) -> list[str]:
    scores = ", ".join(f"{name} {value:.4f}" for name, value in weights.validation.items())
    where = f"{weights.dataset}, {weights.classifier}" if weights.classifier else weights.dataset
    return [weights.label, where, f"validation {scores}", weights.date, weights.sha256[:12], weights.command]


def _aligned(rows: list[list[str]]) -> list[str]:
    if not rows:
        return []
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
