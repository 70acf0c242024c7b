"""``bench run``: compute what the store lacks, render the leaderboard, show it."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

import torch
from rich.console import Console

from benchmark import config, console, estimate, executor, grid
from benchmark.environment import pick_device
from defenses.spec import split_list
from leaderboard import page
from leaderboard.aggregate import boards
from leaderboard.result import Result
from leaderboard.store import Store
from leaderboard.tables import Table


def run(args: argparse.Namespace) -> int:
    """Run what ``args`` ask for. Status 1 if a cell failed."""
    asked = config.load(args.preset, args.config, _flags(args))
    device = pick_device(asked.device)
    if device.type == "cuda":
        torch.backends.cudnn.deterministic = True
    plan = grid.plan(asked, device, args.data_dir, args.zoo)
    for warning in plan.warnings:
        print(f"bench: warning: {warning}", file=sys.stderr)
    store = Store(args.out)
    if args.dry_run:
        return _dry_run(plan, store, device)
    store.prepare()
    store.record_command(_command(args))
    todo = len(plan.cells) if args.force else len(executor.missing_cells(plan, store))
    screen = Console()
    with console.RunProgress(screen, todo) as progress:
        outcome = executor.execute(plan, store, device, args.force, progress)
    return _finish(screen, store, plan, outcome)


def _finish(screen: Console, store: Store, plan: grid.Plan, outcome: executor.Outcome) -> int:
    keys = {cell.key for cell in plan.cells}
    console.show_boards(screen, boards(result for result in store.results() if result.key in keys))
    written = page.write(store)
    for path, reason in store.set_aside:
        print(f"bench: set aside {path}: {reason}", file=sys.stderr)
    screen.print(f"{outcome.computed} cells computed, {outcome.kept} kept. Leaderboard: {written}", soft_wrap=True)
    if outcome.failed:
        console.show(screen, _failures(outcome.failed))
        return 1
    return 0


def _failures(failed: list[Result]) -> Table:
    rows = [
        [r.defense, r.dataset, "latency" if r.kind == "latency" else r.attack or "clean", f"{r.eps:g}", r.error or ""]
        for r in failed
    ]
    return Table(f"{len(failed)} cells failed", ["defense", "dataset", "attack", "eps", "error"], rows)


def _dry_run(plan: grid.Plan, store: Store, device: torch.device) -> int:
    missing = executor.missing_cells(plan, store)
    due = {cell.key for cell in missing}
    rows = []
    for group in plan.groups:
        for subject in group.subjects:
            mine = [cell for cell in group.cells if cell.subject is subject]
            waiting = sum(cell.key in due for cell in mine)
            where = f"{group.dataset.spec.label}, {group.classifier.spec.label}"
            rows.append([where, subject.spec.label, str(len(group.images.y)), str(len(mine)), str(waiting)])
    console.show(Console(), Table("Would run", ["where", "defense", "n", "cells", "to compute"], rows))
    for group in plan.groups:
        for attack, sizes in group.attacks().values():
            print(f"{group.dataset.spec.label}: {attack.spec.label} at {', '.join(f'{eps:g}' for eps in sizes)}")
    spent = estimate.seconds(plan, missing, device)
    print(f"{len(missing)} of {len(plan.cells)} cells to compute on {device.type}, about {_duration(spent)}.")
    return 0


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _command(args: argparse.Namespace) -> str:
    """Return the command line without what is this machine's own: where things lie, and how it was watched."""
    flags = {
        "--preset": args.preset,
        "--config": args.config.name if args.config else None,
        "--dataset": args.dataset,
        "--classifier": args.classifier,
        "--defenses": args.defenses,
        "--attacks": args.attacks,
        "--eps": args.eps,
        "-n": args.n,
        "--seed": args.seed,
        "--draws": args.draws,
        "--device": args.device,
    }
    words = [f"--plugin {shlex.quote(Path(file).name)}" for file in args.plugin or []]
    words += [f"{flag} {shlex.quote(str(value))}" for flag, value in flags.items() if value is not None]
    return " ".join(["bench run", *words, *(["--no-latency"] if args.no_latency else [])])


def _flags(args: argparse.Namespace) -> dict[str, object]:
    lists = {
        "datasets": args.dataset,
        "classifiers": args.classifier,
        "defenses": args.defenses,
        "attacks": args.attacks,
        "eps": args.eps,
    }
    given: dict[str, object] = {key: split_list(text) if text is not None else None for key, text in lists.items()}
    given |= {"n": args.n, "seed": args.seed, "draws": args.draws, "device": args.device}
    given["latency"] = False if args.no_latency else None
    return given
