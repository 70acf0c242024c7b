"""``bench run``: compute what the store lacks, render the leaderboard, show it."""

from __future__ import annotations

import argparse
import sys

from rich.console import Console

from purification_bench.benchmark import console
from purification_bench.benchmark.commands import dry_run
from purification_bench.benchmark.commands.places import places
from purification_bench.benchmark.commands.record import command_line, refuse_foreign
from purification_bench.benchmark.run import config, session
from purification_bench.benchmark.run.missing import Outcome
from purification_bench.benchmark.run.profile import PHASES, Profile
from purification_bench.benchmark.run.session import Session
from purification_bench.defenses.spec import split_list
from purification_bench.leaderboard import pages
from purification_bench.leaderboard.judging.layout import lay_out
from purification_bench.leaderboard.results.store import Store
from purification_bench.leaderboard.showing.table import Table, figures, words
from purification_bench.leaderboard.showing.tables.failures import failures
from purification_bench.leaderboard.showing.values import Number, Value, text

SLOWEST = 10
"""Units that a profile names."""
ON_A_CPU = "Computed on the CPU. On a CUDA device the same command is faster: time then allows more images (-n)."


def run(args: argparse.Namespace) -> int:
    """Run what ``args`` ask for. Status 1 if a cell failed."""
    store = Store(args.out)
    begun = session.begin(configured(args), places(args))
    console.warn(begun.plan.warnings)
    refuse_foreign(store, "run")
    if args.dry_run:
        return dry_run.tell(begun, store)
    # Attacks run with sys.stdout redirected: the screen must keep the real one.
    screen = Console(file=sys.stdout)
    try:
        with console.RunProgress(screen, begun.todo(store, force=args.force), debug=args.debug) as progress:
            outcome = begun.execute(store, progress, force=args.force)
    finally:
        console.tell_set_aside(store)
    if outcome.computed:
        store.record_command(command_line("run", args))
        if args.profile and outcome.profile is not None:
            show_profile(screen, outcome.profile)
    return report(screen, store, begun, outcome, full=args.full)


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
    given["worst_case"] = args.worst_case or (False if args.full_grid else None)
    return config.load(args.preset, args.config, given)


def report(screen: Console, store: Store, begun: Session, outcome: Outcome, *, full: bool, ranked: bool = True) -> int:
    """Show what a plan came to (``full``: attack by attack) and write the page. Status 1 if a cell failed.

    ``ranked`` shows the table of ranks first.
    """
    console.show_boards(screen, lay_out(begun.results(store)), full=full, ranked=ranked)
    written = pages.current(store)
    screen.print(f"{outcome.computed} cells computed, {outcome.kept} kept. Leaderboard: {written}", soft_wrap=True)
    if outcome.computed and begun.device == "cpu":
        screen.print(ON_A_CPU, soft_wrap=True)
    failed = failures(outcome.failed)
    if failed:
        console.show(screen, failed)
    return 1 if failed else 0


def show_profile(screen: Console, profile: Profile) -> None:
    """Print where the time of a run went: by phase, and the slowest units."""
    seconds = {**{phase: profile.phases.get(phase, 0.0) for phase in PHASES}, "harness": profile.own}
    shares: list[list[Value]] = [
        [text(name), Number(spent, "s"), Number(100 * spent / profile.total, "%")] for name, spent in seconds.items()
    ]
    console.show(screen, Table("Where the time went", [*words("phase"), *figures("s", "%")], shares))
    slowest = sorted(profile.units.items(), key=lambda unit: -unit[1])[:SLOWEST]
    units: list[list[Value]] = [[text(name), Number(spent, "s")] for name, spent in slowest]
    console.show(screen, Table("The slowest units", [*words("unit"), *figures("s")], units))
