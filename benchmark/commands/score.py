"""``bench score``: judge somebody else's adversarial images against any defense; what they break counts."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from rich.console import Console
from torch import Tensor

from purification_bench.attacks import guard
from purification_bench.attacks.submitted import Submission, Submitted
from purification_bench.benchmark import console
from purification_bench.benchmark.commands.places import places
from purification_bench.benchmark.commands.record import command_line, refuse_foreign
from purification_bench.benchmark.commands.run import report
from purification_bench.benchmark.registries import DATASETS
from purification_bench.benchmark.run import config, session
from purification_bench.benchmark.run.plan import with_submission
from purification_bench.benchmark.run.session import Session
from purification_bench.benchmark.run.workbench import Workbench
from purification_bench.defenses.errors import UserError
from purification_bench.defenses.spec import split_list
from purification_bench.leaderboard.judging.aggregate import accuracy, standing
from purification_bench.leaderboard.judging.layout import lay_out
from purification_bench.leaderboard.results.result import Result
from purification_bench.leaderboard.results.store import Store

QUOTED = 3
"""Wrong labels that are named."""


@dataclass(frozen=True)
class _Entry:
    """A submission that keeps the rules, and what is to be computed of it."""

    begun: Session
    workbench: Workbench
    told: str


def run(args: argparse.Namespace) -> int:
    """Judge every file of ``args.file`` and enter it in the store. Status 1 if a defense failed.

    No file is judged before all are known to keep the rules.
    """
    store = Store(args.out)
    refuse_foreign(store, "score")
    entries = [_checked(args, file) for file in {file.resolve(): file for file in args.file}.values()]
    screen, status = Console(file=sys.stdout), 0
    for entry in entries:
        screen.print(entry.told, markup=False, soft_wrap=True)
        with console.RunProgress(screen, entry.begun.todo(store), debug=args.debug) as progress:
            outcome = entry.begun.execute(store, progress, entry.workbench)
        if outcome.computed:
            store.record_command(command_line("score", args, *args.file))
        for line in _came_to(entry.begun.results(store), store):
            screen.print(line, markup=False, soft_wrap=True)
        status |= report(screen, store, entry.begun, outcome, full=False, ranked=False)
    return status


def _came_to(scored: Iterable[Result], store: Store) -> Iterator[str]:
    """Say what is left of each defense, and which rows of the folder fell by how much."""
    keys = set()
    for result in scored:
        keys.add(result.key)
        left, clean = accuracy(result), result.clean
        if result.attack and left is not None and clean is not None:
            unattacked = 100 * clean.means[result.met].mean()
            who = f"{result.defense}, {result.identity['classifier']['label']}"
            yield f"  {who}: {100 * left.value:.1f} % of {left.n} images right, {unattacked:.1f} % of the same clean"
    everything = list(store.results())
    before = _headlines(result for result in everything if result.key not in keys or not result.attack)
    for where, (name, value) in _headlines(everything).items():
        if where in before and value < before[where][1]:
            yield f"  {name} falls from {100 * before[where][1]:.1f} to {100 * value:.1f} %"


def _headlines(results: Iterable[Result]) -> dict[tuple[str, str], tuple[str, float]]:
    """Return each row's name and headline at the mark, where it has one, by board and row."""
    found = {}
    for board in lay_out(results):
        for row in board.rows.values():
            robust = standing(board, row, board.mark).robust if board.headline(row, board.mark) else None
            if robust is not None:
                found[board.title, row.defense] = f"{row.defense} ({board.title}, at {board.mark:g})", robust.value
    return found


def _checked(args: argparse.Namespace, file: Path) -> _Entry:
    """Return what a file is judged by; raise ``UserError`` for images that break the rules."""
    submission = Submission.read(file)
    spec = DATASETS.spec(submission.dataset)
    held = None
    if submission.index is not None:
        held = DATASETS.create(spec).places(submission.index, args.data_dir)
    flags = {
        "datasets": [spec.label],
        "defenses": split_list(args.defenses),
        "classifiers": args.classifier and split_list(args.classifier),
        "n": len(submission.x_adv) if held is None else 1 + int(held.max()),
        "draws": args.draws,
        "seed": args.seed,
        "device": args.device,
        "latency": False,
        "threats": ["graybox"],
    }
    clean = session.begin(config.load("quick", None, flags), places(args))
    console.warn(clean.plan.warnings)
    workbench = clean.workbench()
    attack, largest = _kept_to_rules(submission, held, clean, workbench)
    images = None if held is None else tuple(held.tolist())
    planned = with_submission(clean.plan, attack.spec, attack.norm, submission.eps, file, images)
    told = f"{submission.name}: {len(submission.x_adv)} images, {attack.norm} up to {largest:.6g} of {submission.eps:g}"
    return _Entry(replace(clean, plan=planned), workbench, told)


def _kept_to_rules(
    submission: Submission, held: Tensor | None, clean: Session, workbench: Workbench
) -> tuple[Submitted, float]:
    """Return the attack that looks the images up, and their largest distance from the clean ones."""
    for setting in {cell.setting.key: cell.setting for cell in clean.plan.cells}.values():
        x, y = workbench.images(setting)
        if held is not None:
            x, y = x[held], y[held]
        if submission.x_adv.shape != x.shape:
            raise UserError(f"x_adv has shape {tuple(submission.x_adv.shape)} where {tuple(x.shape)} is meant")
        _same_labels(submission, y)
        attack = Submitted(submission, x)
        try:
            (x_adv,) = guard.run(attack, workbench.classifier(setting), x, y, [submission.eps], [0])
        except guard.AttackError as error:
            raise UserError(f"{submission.name}: {str(error).removeprefix('Submitted ')}") from error
    return attack, float(guard.distances(attack.norm, x, x_adv).max())


def _same_labels(submission: Submission, y: Tensor) -> None:
    """Raise ``UserError`` where the labels that are told are not the images' own."""
    if submission.labels is None or torch.equal(submission.labels, y):
        return
    wrong = (submission.labels != y).nonzero()[:, 0].tolist()
    named = ", ".join(f"{submission.labels[i]} of image {i}, which is {y[i]}" for i in wrong[:QUOTED])
    raise UserError(f"{submission.name}: {len(wrong)} labels are not those of the data set: {named}")
