"""``bench certify``: how far the vote of a defense that begins with Gaussian noise cannot be moved."""

from __future__ import annotations

import argparse
import sys

from rich.console import Console

from purification_bench.benchmark import console
from purification_bench.benchmark.commands.places import places
from purification_bench.benchmark.commands.record import command_line, refuse_foreign
from purification_bench.benchmark.registries import DEFENSES
from purification_bench.benchmark.run import config, session
from purification_bench.benchmark.run.cells import Plan
from purification_bench.benchmark.run.certify import Certifying
from purification_bench.benchmark.run.session import Session
from purification_bench.benchmark.run.workbench import CannotBeJudgedError
from purification_bench.defenses.errors import UserError
from purification_bench.defenses.spec import split_list
from purification_bench.leaderboard import pages
from purification_bench.leaderboard.results.certificate import Certificate
from purification_bench.leaderboard.results.store import Store
from purification_bench.leaderboard.showing.tables.certified import certified

IMAGES = 100
"""Certified where ``-n`` says nothing."""


def run(args: argparse.Namespace) -> int:
    """Certify what ``args`` name, show it, and write the page. Status 1 if a defense failed."""
    asked = split_list(args.defenses)
    _check(asked, args)
    store = Store(args.out)
    refuse_foreign(store, "certify")
    begun = session.begin(configured(args), places(args))
    console.warn(begun.plan.warnings)
    wanted = to_certify(begun.plan, args)
    todo = [each for each in wanted if store.certificate(each.key) is None]
    screen = Console(file=sys.stdout)
    failed = _compute(todo, begun, store, screen) if todo else 0
    if failed < len(todo):
        store.record_command(command_line("certify", args))
    _show([found for each in wanted if (found := store.certificate(each.key)) is not None], screen)
    done, kept = len(todo) - failed, len(wanted) - len(todo)
    screen.print(f"{done} computed, {kept} kept. Page: {pages.current(store)}", soft_wrap=True)
    console.tell_set_aside(store)
    return 1 if failed else 0


def _check(asked: list[str], args: argparse.Namespace) -> None:
    """Refuse a defense whose vote has no certificate, and numbers that make none."""
    for text in asked:
        if DEFENSES.create(text).smoothing_sigma is None:
            able = ", ".join(name for name in DEFENSES.names() if _begins_with_noise(name))
            raise UserError(f"no certificate for {text!r}: it does not begin with Gaussian noise; these do: {able}")
    for flag in ("selection", "samples"):
        if getattr(args, flag) < 1:
            raise UserError(f"--{flag} must be at least 1, not {getattr(args, flag)}")


def _begins_with_noise(name: str) -> bool:
    try:
        return DEFENSES.create(name).smoothing_sigma is not None
    except Exception:  # an option that must be given, a library that is not there, a plug-in that fails
        return False


def configured(args: argparse.Namespace) -> config.RunConfig:
    """Return the configuration whose defenses and images are to be certified."""
    given: dict[str, object] = {
        "datasets": args.dataset and split_list(args.dataset),
        "classifiers": args.classifier and split_list(args.classifier),
        "defenses": split_list(args.defenses),
        "references": [],
        "n": IMAGES if args.n is None else args.n,
        "seed": args.seed,
        "device": args.device,
        "latency": False,
        "threats": ["graybox"],
    }
    return config.load("quick", None, given)


def to_certify(plan: Plan, args: argparse.Namespace) -> list[Certifying]:
    """Return what is to be certified, once each."""
    found = (Certifying(cell.setting, cell.defense, args.selection, args.samples) for cell in plan.cells)
    return list({each.key: each for each in found}.values())


def _compute(todo: list[Certifying], begun: Session, store: Store, screen: Console) -> int:
    """Certify what is to be done; a defense that fails is told in a line. Return how many did."""
    bench, failed = begun.workbench(), 0
    store.prepare()
    with console.RunProgress(screen, len(todo)) as progress:
        for each in todo:
            text = f"{each.setting.where}: certifying {each.judged.spec.label}"
            try:
                with progress.task(text, each.setting.n) as advance:
                    store.certify(each.run(bench, advance))
            except CannotBeJudgedError as error:
                print(f"bench: {each.judged.spec.label} cannot be certified: {error}", file=sys.stderr)
                failed += 1
    return failed


def _show(found: list[Certificate], screen: Console) -> None:
    for place in dict.fromkeys((each.dataset, each.classifier) for each in found):
        here = [each for each in found if (each.dataset, each.classifier) == place]
        console.show_in_pieces(screen, certified(", ".join(place), here))
