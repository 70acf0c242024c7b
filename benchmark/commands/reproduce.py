"""``bench reproduce``: re-make the seed paper's tables and figures, and set them beside the published ones."""

from __future__ import annotations

import argparse
import sys

from rich.console import Console

from benchmark import console, executor, grid, reproduction
from benchmark.cells import Plan
from benchmark.commands.record import command_line
from benchmark.environment import pick_device
from benchmark.reproduction import FIGURES, PARTS, TABLES
from defenses.errors import UserError, unknown_name
from defenses.spec import split_list
from leaderboard import reproduction as pages
from leaderboard import tables
from leaderboard.reproduction_tables import DATASETS
from leaderboard.store import Store


def run(args: argparse.Namespace) -> int:
    """Compute what the store lacks of the tables asked for, and write the page. Status 1 if a cell failed."""
    wanted = _tables(args)
    plans = _plans(args, wanted)
    store = Store(args.out)
    if args.dry_run:
        missing = sum(len(executor.missing_cells(plan, store)) for plan in plans)
        print(f"{missing} of {sum(len(plan.cells) for plan in plans)} cells to compute.")
        return 0
    store.prepare()
    todo = sum(len(plan.cells) if args.force else len(executor.missing_cells(plan, store)) for plan in plans)
    screen, failed, computed = Console(file=sys.stdout), [], 0
    device = pick_device(args.device or "auto")
    with console.RunProgress(screen, todo) as progress:
        for plan in plans:
            outcome = executor.execute(plan, store, device, args.force, progress)
            computed += outcome.computed
            failed += outcome.failed
    if computed:
        store.record_command(command_line("reproduce", args))
    written = pages.write(store)
    for table in pages.tables(list(store.results()), wanted):
        for piece in tables.pieces(tables.brief(table), screen.width):
            console.show(screen, piece)
    screen.print(f"{computed} cells computed. Page: {written}", soft_wrap=True)
    listed = tables.failures(failed)
    if listed:
        console.show(screen, listed)
    return 1 if listed else 0


def _tables(args: argparse.Namespace) -> list[str]:
    """Return the tables that are asked for, by themselves or for a figure's images; all, if none is."""
    asked = []
    for word in split_list(args.table or ""):
        if word not in TABLES:
            raise unknown_name("table", word, TABLES)
        asked.append(word)
    for word in split_list(args.figure or ""):
        if word not in FIGURES:
            raise unknown_name("figure", word, FIGURES)
        asked.append(FIGURES[word])
    return [name for name in TABLES if name in asked or not asked]


def _plans(args: argparse.Namespace, wanted: list[str]) -> list[Plan]:
    datasets = split_list(args.dataset) if args.dataset else None
    for name in datasets or []:
        if name not in DATASETS:
            raise unknown_name("dataset of the paper:", name, DATASETS)
    if args.n is not None and args.n < 1:
        raise UserError(f"-n must be at least 1, not {args.n}")
    device = pick_device(args.device or "auto")
    found = []
    for part in PARTS:
        asked = reproduction.configured(part, datasets, args.n, device, not args.no_latency)
        if part.table not in wanted or asked is None:
            continue
        try:
            plan = grid.plan(asked, device, args.data_dir, args.zoo)
        except UserError as error:
            if not part.needs_training:
                raise
            console.warn([f"Table {part.table} under the released code's protocol is left out: {error}"])
            continue
        console.warn(plan.warnings)
        found.append(plan)
    return found
