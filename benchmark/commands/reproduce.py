"""``bench reproduce``: re-make the seed paper's tables and figures, and set them beside the published ones."""

from __future__ import annotations

import argparse
import sys

import torch
from rich.console import Console

from benchmark import console, executor, grid, reproduction
from benchmark.cells import Plan
from benchmark.commands.record import command_line
from benchmark.environment import pick_device
from benchmark.reproduction import FIGURES, PARTS, TABLES
from benchmark.zoo import MissingWeightsError
from defenses.errors import UserError, unknown_name
from defenses.spec import split_list
from leaderboard import reproduction as pages
from leaderboard import tables, terminal
from leaderboard.reproduction_tables import DATASETS
from leaderboard.result import Result
from leaderboard.store import Store


def run(args: argparse.Namespace) -> int:
    """Compute what the store lacks of the tables asked for, and write the page. Status 1 if a cell failed."""
    wanted = tables_asked(args)
    store = Store(args.out)
    if store.commands() and not pages.owns(store):
        raise UserError(f"--out {str(args.out)!r} holds the results of other commands: give another folder")
    device = pick_device(args.device or "auto")
    planned = plans(args, wanted, device)
    cells = {cell.key for plan in planned for cell in plan.cells}
    missing = {cell.key for plan in planned for cell in executor.missing_cells(plan, store)}
    if args.dry_run:
        print(f"{len(missing)} of {len(cells)} cells to compute.")
        return 0
    store.prepare()
    if missing or args.force:
        store.record_command(command_line("reproduce", args))
    screen, failed, computed = Console(file=sys.stdout), [], 0
    try:
        with console.RunProgress(screen, len(cells if args.force else missing)) as progress:
            for plan in planned:
                outcome = executor.execute(plan, store, device, args.force, progress)
                computed += outcome.computed
                failed += outcome.failed
    finally:
        console.tell_set_aside(store)
    return _show(screen, store, wanted, computed, failed)


def _show(screen: Console, store: Store, wanted: list[str], computed: int, failed: list[Result]) -> int:
    written = pages.write(store)
    for table in pages.tables(list(store.results()), wanted):
        for piece in terminal.pieces(terminal.brief(table), screen.width):
            console.show(screen, piece)
    screen.print(f"{computed} cells computed. Page: {written}", soft_wrap=True)
    listed = tables.failures(failed)
    if listed:
        console.show(screen, listed)
    return 1 if listed else 0


def tables_asked(args: argparse.Namespace) -> list[str]:
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


def plans(args: argparse.Namespace, wanted: list[str], device: torch.device) -> list[Plan]:
    """Lay out every part of the tables, dataset by dataset; one whose classifier nobody trained is left out."""
    datasets = split_list(args.dataset) if args.dataset else list(DATASETS)
    for name in datasets:
        if name not in DATASETS:
            raise unknown_name("dataset of the paper:", name, DATASETS)
    if args.n is not None and args.n < 1:
        raise UserError(f"-n must be at least 1, not {args.n}")
    asked = [
        (part, run)
        for part in PARTS
        for dataset in dict.fromkeys(datasets)
        if part.table in wanted
        and (run := reproduction.configured(part, dataset, args.n, device, not args.no_latency)) is not None
    ]
    if not asked:
        raise UserError(f"nothing to reproduce: the paper has table {', '.join(wanted)} not on {', '.join(datasets)}")
    found, left_out = [], []
    for part, run in asked:
        try:
            found.append(grid.plan(run, device, args.data_dir, args.zoo))
        except MissingWeightsError as error:
            if not part.needs_training:
                raise
            left_out.append(f"table {part.table} under the released code's protocol is left out: {error}")
    console.warn(dict.fromkeys([*left_out, *(warning for plan in found for warning in plan.warnings)]))
    return found
