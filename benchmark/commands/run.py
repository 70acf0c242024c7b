"""``bench run``: compute what the store lacks, render the leaderboard, show it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import torch
from rich.console import Console

from purification_bench.benchmark import console
from purification_bench.benchmark.commands.record import command_line, refuse_foreign
from purification_bench.benchmark.environment import pick_device
from purification_bench.benchmark.run import config, estimate, executor, grid
from purification_bench.benchmark.run.cells import Cell, Plan, by_attack
from purification_bench.defenses.spec import split_list
from purification_bench.leaderboard import pages
from purification_bench.leaderboard.judging.boards import WORDS, boards
from purification_bench.leaderboard.results.store import Store
from purification_bench.leaderboard.showing.table import Table, figures, words
from purification_bench.leaderboard.showing.tables.failures import failures
from purification_bench.leaderboard.showing.values import Count, Name, Value, text


def run(args: argparse.Namespace) -> int:
    """Run what ``args`` ask for. Status 1 if a cell failed."""
    asked = configured(args)
    store = Store(args.out)
    refuse_foreign(store, "run")
    device = pick_device(asked.device)
    plan = grid.plan(asked, device, args.data_dir, args.zoo)
    console.warn(plan.warnings)
    if args.dry_run:
        return _dry_run(plan, store, device)
    store.prepare()
    todo = len(plan.cells) if args.force else len(executor.missing_cells(plan, store))
    # Attacks run with sys.stdout redirected: the screen must keep the real one.
    screen = Console(file=sys.stdout)
    try:
        with console.RunProgress(screen, todo) as progress:
            outcome = executor.execute(plan, store, device, args.force, progress)
    finally:
        console.tell_set_aside(store)
    if outcome.computed:
        store.record_command(command_line("run", args))
    return report(screen, store, plan, outcome)


def configured(args: argparse.Namespace) -> config.RunConfig:
    """Return what the flags ask for, over a file, over a preset."""
    lists = {
        "datasets": args.dataset,
        "classifiers": args.classifier,
        "defenses": args.defenses,
        "attacks": args.attacks,
        "threats": args.threat,
        "eps": args.eps,
    }
    given: dict[str, object] = {key: split_list(text) if text is not None else None for key, text in lists.items()}
    given |= {"n": args.n, "seed": args.seed, "draws": args.draws, "device": args.device}
    given |= {"eot_samples": args.eot_samples, "protocol": args.protocol}
    given["latency"] = False if args.no_latency else None
    return config.load(args.preset, args.config, given)


def report(screen: Console, store: Store, plan: Plan, outcome: executor.Outcome) -> int:
    """Show what a plan came to and write the page. Status 1 if a cell failed."""
    keys = {cell.key for cell in plan.cells}
    console.show_boards(screen, boards(result for result in store.results() if result.key in keys))
    written = pages.write(store)
    screen.print(f"{outcome.computed} cells computed, {outcome.kept} kept. Leaderboard: {written}", soft_wrap=True)
    failed = failures(outcome.failed)
    if failed:
        console.show(screen, failed)
    return 1 if failed else 0


def _dry_run(plan: Plan, store: Store, device: torch.device) -> int:
    missing = executor.missing_cells(plan, store)
    due = {cell.key for cell in missing}
    rows: list[list[Value]] = []
    for group in plan.groups:
        for subject in group.subjects:
            mine = [cell for cell in group.cells if cell.subject is subject]
            waiting = sum(cell.key in due for cell in mine)
            where = text(f"{group.dataset.spec.label}, {group.classifier.spec.label}")
            counts = (len(group.images.y), len(mine), waiting)
            rows.append([where, Name(subject.spec.label), *map(Count, counts)])
    headings = [*words("where", "defense"), *figures("n", "cells", "to compute")]
    console.show(Console(), Table("Would run", headings, rows))
    for group in plan.groups:
        for line in dict.fromkeys(_described(cells) for cells in by_attack(group.cells)):
            print(f"{group.dataset.spec.label}: {line}")
    console.tell_set_aside(store)
    spent = estimate.seconds(plan, missing, device)
    print(f"{len(missing)} of {len(plan.cells)} cells to compute on {device.type}, about {estimate.in_words(spent)}.")
    return 0


def _described(cells: Sequence[Cell]) -> str:
    """Name the attack that ``cells`` share, its threat and its sizes."""
    (name,) = {cell.spec.attack.label for cell in cells if cell.spec}
    (estimator,) = {cell.spec.estimator for cell in cells if cell.spec}
    sizes = ", ".join(f"{eps:g}" for eps in dict.fromkeys(cell.eps for cell in cells))
    return f"{name} ({WORDS.get(estimator, estimator)}) at {sizes}"
