"""``bench audit``: attack defenses as one who sees them does, on few images, and say what a reviewer would ask."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rich.console import Console

from purification_bench.benchmark import console
from purification_bench.benchmark.commands import dry_run
from purification_bench.benchmark.commands.places import places
from purification_bench.benchmark.commands.record import command_line, refuse_foreign
from purification_bench.benchmark.run import config, session
from purification_bench.defenses.errors import UserError
from purification_bench.defenses.spec import split_list
from purification_bench.leaderboard import pages
from purification_bench.leaderboard.judging import aggregate, audit
from purification_bench.leaderboard.judging.boards import Board, Row
from purification_bench.leaderboard.judging.checks.evidence import smallest_margin
from purification_bench.leaderboard.judging.layout import lay_out
from purification_bench.leaderboard.results.store import Store
from purification_bench.leaderboard.showing.as_json import plain
from purification_bench.leaderboard.showing.tables import attackers, audits, standings
from purification_bench.leaderboard.showing.values import known

STDOUT = "-"


def run(args: argparse.Namespace) -> int:
    """Audit ``args.defenses``. Status 1 if a check that gates failed."""
    asked = configured(args)
    if args.json not in (None, STDOUT) and not Path(args.json).absolute().parent.is_dir():
        raise UserError(f"--json {args.json!r} cannot be written: there is no such folder")
    if args.out:
        refuse_foreign(Store(args.out), "audit")
    begun = session.begin(asked, places(args))
    console.warn(begun.plan.warnings)
    with ExitStack() as stack:
        folder = args.out or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        store = Store(folder)
        if args.dry_run:
            return dry_run.tell(begun, store)
        # Attacks run with sys.stdout redirected: the screen must keep the real one.
        watched = Console(file=sys.stderr)
        with console.RunProgress(watched, begun.todo(store), debug=args.debug) as progress:
            begun.execute(store, progress)
        judged = lay_out(begun.results(store))
        if args.out:
            store.record_command(command_line("audit", args, args.defenses, "--out", args.out))
            pages.write(store)
    rows = [(board, row) for board in judged for row in board.rows.values() if _wanted(row, asked)]
    if args.json is not None:
        found = json.dumps([_described(board, row) for board, row in rows], indent=1)
        print(found) if args.json == STDOUT else Path(args.json).write_text(found + "\n", encoding="utf-8")
    else:
        for board in judged:
            _show(Console(file=sys.stdout), board, [row for other, row in rows if other is board])
    return 1 if any(audit.gating(audit.audit(board, row)) for board, row in rows) else 0


def configured(args: argparse.Namespace) -> config.RunConfig:
    """Return what the flags ask for, over a file, over the preset of the audit."""
    given: dict[str, object] = {
        "datasets": args.dataset and split_list(args.dataset),
        "classifiers": args.classifier and split_list(args.classifier),
        "defenses": split_list(args.defenses),
        "n": args.n,
        "seed": args.seed,
        "eot_samples": args.eot_samples,
        "device": args.device,
    }
    return config.load("audit", args.config, given)


def _wanted(row: Row, asked: config.RunConfig) -> bool:
    """Leave out the reference rows that were only run to compare with."""
    return row.newest.identity["defense"]["name"] in {text.partition("[")[0] for text in asked.defenses}


def _show(screen: Console, board: Board, rows: list[Row]) -> None:
    worst = attackers.by_threat(board)
    if worst:
        console.show_in_pieces(screen, worst)
    console.show(screen, standings.summary(board))
    for row in rows:
        console.show(screen, audits.every_check(board, row))


def _described(board: Board, row: Row) -> dict[str, Any]:
    at = aggregate.standing(board, row, board.mark)
    judging = board.candidates(board.mark, *board.threats)
    seen = [c for c in judging if c.threat.required and c in row.cells and row.cells[c].ok]
    return {
        "defense": row.defense,
        "dataset": board.dataset,
        "classifier": board.classifier,
        "eps": board.mark,
        "verdict": audit.verdict(board, row),
        "clean": plain(known(at.clean)),
        "claimed": plain(known(at.claimed)),
        "robust": plain(known(at.robust)),
        "seen": plain(known(aggregate.robust_accuracy(row, seen))),
        "smallest_margin": smallest_margin(row),
        "flags": [
            {"name": f.check, "state": f.state, "gating": f.gates, "evidence": f.evidence}
            for f in audit.audit(board, row)
        ],
    }
