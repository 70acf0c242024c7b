"""``bench score``: judge somebody else's adversarial images against any defense; what they break counts."""

from __future__ import annotations

import argparse
import sys

from rich.console import Console

from purification_bench.attacks import guard
from purification_bench.attacks.submitted import Submission, Submitted
from purification_bench.benchmark import console
from purification_bench.benchmark.commands.record import command_line, refuse_foreign
from purification_bench.benchmark.commands.run import report
from purification_bench.benchmark.environment import pick_device
from purification_bench.benchmark.registries import DATASETS
from purification_bench.benchmark.run import config, executor, grid
from purification_bench.benchmark.run.cells import Group
from purification_bench.defenses.errors import UserError
from purification_bench.defenses.spec import split_list
from purification_bench.leaderboard.results.store import Store


def run(args: argparse.Namespace) -> int:
    """Judge ``args.file`` and enter it in the store. Status 1 if a defense failed."""
    store = Store(args.out)
    refuse_foreign(store, "score")
    submission = Submission.read(args.file)
    spec = DATASETS.spec(submission.dataset)
    flags = {
        "datasets": [spec.label],
        "defenses": split_list(args.defenses),
        "classifiers": args.classifier and split_list(args.classifier),
        "n": len(submission.x_adv),
        "draws": args.draws,
        "seed": args.seed,
        "device": args.device,
        "latency": False,
        "threats": ["graybox"],
    }
    asked = config.load("quick", None, flags)
    device = pick_device(asked.device)
    plan = grid.plan(asked, device, args.data_dir, args.zoo)
    console.warn(plan.warnings)
    for i, group in enumerate(plan.groups):
        _check(submission, group)
        plan.groups[i] = grid.submitted(group, Submitted(submission, group.images.x), submission.eps)
    store.prepare()
    screen = Console(file=sys.stdout)
    with console.RunProgress(screen, len(executor.missing_cells(plan, store))) as progress:
        outcome = executor.execute(plan, store, device, force=False, progress=progress)
    if outcome.computed:
        store.record_command(command_line("score", args, args.file))
    return report(screen, store, plan, outcome)


def _check(submission: Submission, group: Group) -> None:
    """Refuse images that break the rules before anything is judged."""
    x, y = group.images
    if submission.x_adv.shape != x.shape:
        raise UserError(f"x_adv has shape {tuple(submission.x_adv.shape)} where {tuple(x.shape)} is meant")
    try:
        guard.run(Submitted(submission, x), group.classifier, x, y, [submission.eps], [0])
    except guard.AttackError as error:
        raise UserError(f"{submission.name}: {error}") from error
