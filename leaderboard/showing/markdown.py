"""Tables and pages in Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from tabulate import tabulate

from purification_bench.leaderboard.judging.boards import Board, Row
from purification_bench.leaderboard.judging.layout import lay_out
from purification_bench.leaderboard.results.result import STANDARD, Result, place
from purification_bench.leaderboard.results.store import file_stem
from purification_bench.leaderboard.showing import audit_tables, tables
from purification_bench.leaderboard.showing.tables import Table


def page(
    results: Sequence[Result],
    figures: dict[str, list[tuple[str, str]]],
    commands: Sequence[str] = (),
    set_aside: Sequence[str] = (),
    about: str = "",
) -> str:
    """Return the leaderboard page.

    Parameters
    ----------
    figures:
        For each board's title, (caption, path) of its pictures, paths relative to the page.
    commands:
        The commands that computed the results.
    set_aside:
        One line for each stored file that could not be read.
    about:
        A title and an introduction of the page's own.
    """
    parts = [about or "# Leaderboard", _how(results)]
    for board in lay_out(results):
        parts.append(_board(board, figures))
    failed = tables.failures(results)
    if failed:
        parts.append(render(failed, level=2))
    if commands:
        parts.append("## Reproduce\n\n```sh\n" + "\n".join(commands) + "\n```")
    if set_aside:
        parts.append("## Set aside\n\n" + "\n".join(f"- {line}" for line in set_aside))
    return "\n\n".join(part for part in parts if part) + "\n"


def render(table: Table, level: int = 3) -> str:
    """Return a table with its heading and note."""
    aligned = ["left" if column < table.words else "right" for column in range(len(table.headers))]
    rows = [[cell.replace("|", "\\|") for cell in row] for row in table.rows]
    body = tabulate(rows, table.headers, tablefmt="github", disable_numparse=True, colalign=aligned)
    heading = f"{'#' * level} {table.title}"
    return "\n\n".join(part for part in (heading, body, table.note) if part)


def _board(board: Board, figures: dict[str, list[tuple[str, str]]]) -> str:
    if board.protocol != STANDARD:
        return _apart(board)
    head = tables.summary(board)
    pictures = [f"![{caption}]({path})\n\n*{caption}*" for caption, path in figures.get(board_name(board), [])]
    seen = (
        audit_tables.by_threat(board),
        audit_tables.how(board),
        audit_tables.verdicts(board),
        audit_tables.checks(board),
    )
    optional = (tables.draws(board), tables.comparisons(board), tables.latency(board))
    parts = [
        render(head, level=2),
        *pictures,
        *(render(table) for table in seen if table),
        render(tables.worst_case(board)) if any(column.norm == "linf" for column in board.columns) else "",
        *(render(tables.by_size(board, attack, threat)) for attack, threat in board.attacks),
        *(render(table) for table in optional if table),
        render(tables.settings(board)),
        provenance(board),
    ]
    return "\n\n".join(part for part in parts if part)


def _apart(board: Board) -> str:
    """Return what there is to say of a board of another protocol: accuracy alone."""
    parts = [
        f"## {board.title}",
        f"Attacked and judged under the rules of `--protocol {board.protocol}`: these rows enter no worst case, no "
        "rank and no audit.",
        *(render(tables.by_size(board, attack, threat)) for attack, threat in board.attacks),
        render(tables.settings(board)),
        provenance(board),
    ]
    return "\n\n".join(parts)


def board_name(board: Board) -> str:
    """Return the name that a board's figures are filed under."""
    return f"{file_stem(place(board.dataset, board.classifier, board.protocol))}-seed{board.seed}"


def _how(results: Sequence[Result]) -> str:
    if not results:
        return "No results yet."
    machines = sorted({tables.machine(r) for r in results})
    versions = sorted({_versions(r) for r in results})
    days = sorted({r.created[:10] for r in results})
    span = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    return (
        f"Computed {span} on {'; '.join(machines)} with {'; '.join(versions)}. {len(results)} cells. "
        "Every figure is in percent of images with its 95 % interval (Wilson; with draws, at the effective sample "
        "size); the intervals do not cover the randomness of training. "
        "`accuracy` is the share right under one attack; `robust_accuracy` the share right on the clean image and "
        "under every attack of a set."
    )


def _versions(result: Result) -> str:
    versions = result.environment["versions"]
    return ", ".join(f"{name} {versions[name]}" for name in ("purification-bench", "torch", "torchattacks"))


def provenance(board: Board, title: str = "Weights") -> str:
    """Return the table of a board's weights, with the seed and the batch plan."""
    first = next(iter(board.rows.values())).newest
    classifier = first.identity["classifier"]
    rows = [[f"`{board.classifier}` (classifier)", _digest(classifier["weights"]), _command(first.facts["classifier"])]]
    rows += [
        [f"`{about.defense}`", _digest(about.identity["defense"]["weights"]), _command(about.facts.get("weights"))]
        for about in (row.newest for row in board.rows.values())
        if about.identity["defense"]["weights"]
    ]
    plan = first.identity.get("batch", {})
    note = f"Seed {board.seed}; batch plan: {', '.join(f'{k} {v}' for k, v in plan.items())}." if plan else ""
    return render(Table(title, ["what", "SHA-256", "trained by"], rows, note + _notes(board), words=3))


def _notes(board: Board) -> str:
    stochastic = [f"`{name}`" for name, row in board.rows.items() if _declares(row, "stochastic")]
    contradicting = [f"`{name}`" for name, row in board.rows.items() if row.contradicts_itself]
    notes = f" Stochastic: {', '.join(stochastic)}." if stochastic else ""
    if contradicting:
        notes += f" **Two passes over the same images differ, undeclared: {', '.join(contradicting)}.**"
    return notes


def _declares(row: Row, flag: str) -> bool:
    return bool(row.newest.facts.get(flag))


def _digest(sha256: str | None) -> str:
    return f"`{sha256[:12]}`" if sha256 else tables.MISSING


def _command(weights: dict[str, object] | None) -> str:
    return f"`{weights['command']}`" if weights else tables.MISSING
