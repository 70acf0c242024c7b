"""What every command that computes begins with: a device, a plan, a workbench."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from purification_bench.benchmark import console
from purification_bench.benchmark.assets import zoo
from purification_bench.benchmark.environment import describe, pick_device
from purification_bench.benchmark.run import costs
from purification_bench.benchmark.run.cells import Cell, Plan
from purification_bench.benchmark.run.config import RunConfig
from purification_bench.benchmark.run.estimate import Estimator, in_words
from purification_bench.benchmark.run.plan import plan
from purification_bench.benchmark.run.workbench import Workbench
from purification_bench.leaderboard.results.store import Store


@dataclass(frozen=True)
class Setup:
    """A plan, and the device that it is for."""

    plan: Plan
    device: torch.device
    machine: Mapping[str, Any]

    def workbench(self, args: argparse.Namespace) -> Workbench:
        """Return the workbench; raise ``UserError`` for images or classifiers that cannot be had."""
        bench = Workbench(self.device, args.data_dir, zoo.search_path(args.zoo))
        bench.rehearse(self.plan)
        return bench

    def estimated(self, cells: Sequence[Cell], store: Store, args: argparse.Namespace) -> str:
        """Say how long ``cells`` would take: by what the store holds of this machine, else by published timings."""
        here = costs.learn(store.results() if store.cells.is_dir() else (), self.machine["device_name"])
        bench = Workbench(self.device, args.data_dir, zoo.search_path(args.zoo))
        seconds = Estimator((here, costs.reference()), bench).seconds(cells)
        return in_words(seconds)


def planned(asked: RunConfig, args: argparse.Namespace) -> Setup:
    """Plan what is asked for; what is left out is told on the standard error."""
    device = pick_device(asked.device)
    machine = describe(device)
    laid_out = plan(asked, machine, args.zoo)
    console.warn(laid_out.warnings)
    return Setup(laid_out, device, machine)
