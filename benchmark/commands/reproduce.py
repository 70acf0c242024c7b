"""``bench reproduce``: re-make the seed paper's tables and figures, and set them beside the published ones."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace

import torch
from rich.console import Console

from purification_bench.benchmark import console, reproduction
from purification_bench.benchmark.assets.zoo import MissingWeightsError
from purification_bench.benchmark.commands.record import command_line, refuse_foreign
from purification_bench.benchmark.environment import pick_device
from purification_bench.benchmark.reproduction import PARTS, Part
from purification_bench.benchmark.run import estimate, executor, grid
from purification_bench.benchmark.run.cells import Plan
from purification_bench.benchmark.run.config import RunConfig
from purification_bench.defenses.errors import UserError, unknown_name
from purification_bench.defenses.spec import split_list
from purification_bench.leaderboard.judging.boards import boards
from purification_bench.leaderboard.mandal2023 import tables
from purification_bench.leaderboard.mandal2023.measured import DATASETS, Measured
from purification_bench.leaderboard.mandal2023.page import write_reproduction
from purification_bench.leaderboard.mandal2023.pictures import FIGURES
from purification_bench.leaderboard.results.result import Result
from purification_bench.leaderboard.results.store import Store
from purification_bench.leaderboard.showing.tables.failures import failures


def run(args: argparse.Namespace) -> int:
    """Compute what the store lacks of the tables asked for, and write the page. Status 1 if a cell failed.

    Raises ``UserError`` for what cannot be had, before anything is written.
    """
    wanted = tables_asked(args)
    store = Store(args.out)
    refuse_foreign(store, "reproduce")
    device = pick_device(args.device or "auto")
    planned = plans(args, wanted, device)
    missing = [executor.missing_cells(plan, store) for plan in planned]
    cells, todo = sum(len(plan.cells) for plan in planned), sum(map(len, missing))
    if args.dry_run:
        console.tell_set_aside(store)
        spent = sum(estimate.seconds(plan, due, device) for plan, due in zip(planned, missing, strict=True))
        print(f"{todo} of {cells} cells to compute on {device.type}, about {estimate.in_words(spent)}.")
        return 0
    store.prepare()
    if todo or args.force:
        store.record_command(command_line("reproduce", args))
    screen, failed, computed = Console(file=sys.stdout), [], 0
    try:
        with console.RunProgress(screen, cells if args.force else todo) as progress:
            for plan in planned:
                outcome = executor.execute(plan, store, device, args.force, progress)
                computed += outcome.computed
                failed += outcome.failed
    finally:
        console.tell_set_aside(store)
    return _show(screen, store, wanted, computed, failed)


def _show(screen: Console, store: Store, wanted: list[str], computed: int, failed: list[Result]) -> int:
    written = write_reproduction(store)
    for table in tables.tables_of(Measured(boards(store.results())), wanted):
        console.show_in_pieces(screen, table)
    screen.print(f"{computed} cells computed. Page: {written}", soft_wrap=True)
    listed = failures(failed)
    if listed:
        console.show(screen, listed)
    return 1 if listed else 0


def tables_asked(args: argparse.Namespace) -> list[str]:
    """Return the tables that are asked for, by themselves or for a figure's images; all, if none is.

    Raises ``UserError`` for a name that there is not.
    """
    asked = []
    for word in split_list(args.table or ""):
        if word not in tables.SECTIONS:
            raise unknown_name("table", word, tables.SECTIONS)
        asked.append(word)
    for word in split_list(args.figure or ""):
        if word not in FIGURES:
            raise unknown_name("figure", word, FIGURES)
        asked.append(FIGURES[word].table)
    return [name for name in tables.SECTIONS if name in asked or not asked]


def plans(args: argparse.Namespace, wanted: Sequence[str], device: torch.device) -> list[Plan]:
    """Lay out every part of the tables, dataset by dataset; each cell is in one plan, the first that needs it.

    What is left out is told: a part whose classifier nobody trained, a table that is not of the datasets asked for.
    Raises ``UserError`` where nothing is left, or something else cannot be had.
    """
    datasets = split_list(args.dataset) if args.dataset else list(DATASETS)
    for name in datasets:
        if name not in DATASETS:
            raise unknown_name("dataset of the paper:", name, DATASETS)
    if args.n is not None and args.n < 1:
        raise UserError(f"-n must be at least 1, not {args.n}")
    asked, left_out = [], []
    for table in wanted:
        runs = _runs(table, args.n, device, not args.no_latency)
        made_for = list(dict.fromkeys(dataset for _, dataset, _ in runs))
        if not set(made_for) & set(datasets):
            left_out.append(f"table {table} is left out: it is made for {', '.join(made_for)} only")
        asked += [(part, config) for part, dataset, config in runs if dataset in datasets]
    if not asked:
        raise UserError(f"nothing to reproduce: {left_out[0]}")
    found = []
    for part, config in asked:
        try:
            found.append(grid.plan(config, device, args.data_dir, args.zoo))
        except MissingWeightsError as error:
            if not part.needs_training:
                raise
            left_out.append(f"table {part.table} under the released code's protocol is left out: {error}")
    console.warn(dict.fromkeys([*left_out, *(warning for plan in found for warning in plan.warnings)]))
    return _without_repeats(found)


def _runs(table: str, n: int | None, device: torch.device, latency: bool) -> list[tuple[Part, str, RunConfig]]:
    """Return the runs of a table, each with its part and its dataset."""
    asked = [
        (part, dataset, reproduction.configured(part, dataset, n, device, latency))
        for part in PARTS for dataset in DATASETS if part.table == table
    ]  # fmt: skip
    return [(part, dataset, config) for part, dataset, config in asked if config is not None]


def _without_repeats(plans: Sequence[Plan]) -> list[Plan]:
    """Return the plans without the cells that an earlier one has."""
    seen: set[str] = set()
    found = []
    for plan in plans:
        groups = [replace(group, cells=[cell for cell in group.cells if cell.key not in seen]) for group in plan.groups]
        seen.update(cell.key for cell in plan.cells)
        found.append(Plan(groups, plan.warnings))
    return found
