"""``bench reproduce``: re-make the seed paper's tables and figures, and set them beside the published ones."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console

from purification_bench.benchmark import console, reproduction
from purification_bench.benchmark.assets.zoo import MissingWeightsError
from purification_bench.benchmark.commands.places import places
from purification_bench.benchmark.commands.record import command_line, refuse_foreign
from purification_bench.benchmark.environment import describe, device_word
from purification_bench.benchmark.reproduction import PARTS, Part
from purification_bench.benchmark.run.cells import Cell, Plan
from purification_bench.benchmark.run.config import RunConfig
from purification_bench.benchmark.run.missing import Outcome, missing_cells
from purification_bench.benchmark.run.plan import plan
from purification_bench.benchmark.run.session import Session
from purification_bench.defenses.errors import UserError, unknown_name
from purification_bench.defenses.spec import split_list
from purification_bench.leaderboard.judging.layout import lay_out
from purification_bench.leaderboard.mandal2023 import tables
from purification_bench.leaderboard.mandal2023.measured import DATASETS, Measured
from purification_bench.leaderboard.mandal2023.page import write_reproduction
from purification_bench.leaderboard.mandal2023.pictures import FIGURES
from purification_bench.leaderboard.results.store import Store
from purification_bench.leaderboard.showing.tables.failures import failures


def run(args: argparse.Namespace) -> int:
    """Compute what the store lacks of the tables asked for, and write the page. Status 1 if a cell failed.

    Raises ``UserError`` for what cannot be had, before anything is written.
    """
    wanted = tables_asked(args)
    store = Store(args.out)
    refuse_foreign(store, "reproduce")
    device = device_word(args.device or "auto")
    machine = describe(device)
    begun = Session(planned_tables(args, wanted, device, machine), device, machine, places(args))
    missing = missing_cells(begun.plan, store)
    if args.dry_run:
        console.tell_set_aside(store)
        spent = begun.estimated(missing, store)
        print(f"{len(missing)} of {len(begun.plan.cells)} cells to compute on {device}: {spent}.")
        return 0
    workbench = begun.workbench()
    store.prepare()
    if missing or args.force:
        store.record_command(command_line("reproduce", args))
    screen = Console(file=sys.stdout)
    try:
        with console.RunProgress(screen, begun.todo(store, force=args.force), debug=args.debug) as progress:
            outcome = begun.execute(store, progress, workbench, force=args.force)
    finally:
        console.tell_set_aside(store)
    return _show(screen, store, wanted, outcome)


def _show(screen: Console, store: Store, wanted: list[str], outcome: Outcome) -> int:
    written = write_reproduction(store)
    for table in tables.tables_of(Measured(lay_out(store.results())), wanted):
        console.show_in_pieces(screen, table)
    screen.print(f"{outcome.computed} cells computed. Page: {written}", soft_wrap=True)
    listed = failures(outcome.failed)
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


def planned_tables(args: argparse.Namespace, wanted: Sequence[str], device: str, machine: Mapping[str, Any]) -> Plan:
    """Lay out every part of the tables, data set by data set; a cell that several parts need is there once.

    What is left out is told: a part whose classifier nobody trained, a table that is not of the data sets asked for.
    Raises ``UserError`` where nothing is left, or something else cannot be had.
    """
    asked, left_out = _asked(args, wanted, device)
    cells: dict[str, Cell] = {}
    warnings: list[str] = []
    for part, config in asked:
        try:
            laid_out = plan(config, machine, args.zoo)
        except MissingWeightsError as error:
            if not part.needs_training:
                raise
            left_out.append(f"table {part.table} under the released code's protocol is left out: {error}")
            continue
        cells = {**{cell.key: cell for cell in laid_out.cells}, **cells}
        warnings += laid_out.warnings
    console.warn(dict.fromkeys([*left_out, *warnings]))
    return Plan(tuple(cells.values()))


def _asked(
    args: argparse.Namespace, wanted: Sequence[str], device: str
) -> tuple[list[tuple[Part, RunConfig]], list[str]]:
    """Return the runs of the tables on the data sets asked for, and what is left out."""
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
    return asked, left_out


def _runs(table: str, n: int | None, device: str, latency: bool) -> list[tuple[Part, str, RunConfig]]:
    """Return the runs of a table, each with its part and its dataset."""
    asked = [
        (part, dataset, reproduction.configured(part, dataset, n, device, latency))
        for part in PARTS
        for dataset in DATASETS
        if part.table == table
    ]
    return [(part, dataset, config) for part, dataset, config in asked if config is not None]
