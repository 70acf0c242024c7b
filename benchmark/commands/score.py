"""``bench score``: judge somebody else's adversarial images against any defense; what they break counts."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace

from rich.console import Console

from purification_bench.attacks import guard
from purification_bench.attacks.submitted import Submission, Submitted
from purification_bench.benchmark import console
from purification_bench.benchmark.commands.places import places
from purification_bench.benchmark.commands.record import command_line, refuse_foreign
from purification_bench.benchmark.commands.run import report
from purification_bench.benchmark.registries import DATASETS
from purification_bench.benchmark.run import config, session
from purification_bench.benchmark.run.cells import Plan
from purification_bench.benchmark.run.plan import with_submission
from purification_bench.benchmark.run.workbench import Workbench
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
    clean = session.begin(config.load("quick", None, flags), places(args))
    console.warn(clean.plan.warnings)
    workbench = clean.workbench()
    attack = _checked(submission, clean.plan, workbench)
    begun = replace(clean, plan=with_submission(clean.plan, attack.spec, attack.norm, submission.eps, args.file))
    screen = Console(file=sys.stdout)
    with console.RunProgress(screen, begun.todo(store), debug=args.debug) as progress:
        outcome = begun.execute(store, progress, workbench)
    if outcome.computed:
        store.record_command(command_line("score", args, args.file))
    return report(screen, store, begun, outcome, full=True, ranked=False)


def _checked(submission: Submission, plan: Plan, workbench: Workbench) -> Submitted:
    """Return the attack that looks the images up; raise ``UserError`` for images that break the rules."""
    for setting in {cell.setting.key: cell.setting for cell in plan.cells}.values():
        x, y = workbench.images(setting)
        if submission.x_adv.shape != x.shape:
            raise UserError(f"x_adv has shape {tuple(submission.x_adv.shape)} where {tuple(x.shape)} is meant")
        attack = Submitted(submission, x)
        try:
            guard.run(attack, workbench.classifier(setting), x, y, [submission.eps], [0])
        except guard.AttackError as error:
            raise UserError(f"{submission.name}: {error}") from error
    return attack
