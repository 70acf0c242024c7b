"""The tables of a board, as headers and text rows: one source for the console and for Markdown."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from purification_bench.leaderboard.judging import aggregate, audit, layout
from purification_bench.leaderboard.judging.aggregate import accuracy, paired, robust_accuracy, votes
from purification_bench.leaderboard.judging.boards import Board, Column, Row
from purification_bench.leaderboard.judging.statistics import Estimate
from purification_bench.leaderboard.results.declared import Threat
from purification_bench.leaderboard.results.result import Result

MISSING = "—"
ONE_STEP_LIMIT = 0.5
"""From here on one grey image defeats every classifier, and one-step accuracy bounds nothing."""

KNOWLEDGE = {
    "none": "nothing",
    "clean": "clean images",
    "classifier": "the classifier",
    "attack": "an attack",
}


@dataclass(frozen=True)
class Table:
    """A title, column headers, and rows of text."""

    title: str
    headers: list[str]
    rows: list[list[str]]
    note: str = ""
    words: int = 1
    """How many of the first columns hold words (set to the left) and not figures."""


def failures(results: Iterable[Result]) -> Table | None:
    """List the cells that failed, and why, one line a cause; None where none did."""
    failed = layout.failures(results)
    causes: dict[tuple[str, str, str], list[str]] = {}
    for r in failed:
        cell = "latency" if r.kind == "latency" else f"{r.attack} {r.eps:g}" if r.attack else "clean"
        causes.setdefault((f"`{r.defense}`", ", ".join(r.place), r.error or ""), []).append(cell)
    rows = [[defense, where, ", ".join(cells), error] for (defense, where, error), cells in causes.items()]
    headers = ["defense", "where", "cells", "error"]
    return Table(f"{len(failed)} failed cells", headers, rows, words=len(headers)) if rows else None


def summary(board: Board) -> Table:
    """One line a defense: the headline where an attacker saw the purifier, what is claimed, cost."""
    claimed = board.candidates(board.mark)
    rows = []
    for rank, row in ranked(board):
        columns = [*claimed, *board.headline(row, board.mark)]
        n = image_counts([row.clean, *(row.cells.get(column) for column in columns)])
        rows.append(
            [
                rank, f"`{row.defense}`", trained_on(row.newest), percent(accuracy(row.clean)),
                *(_headline(board, row) if board.adaptive else []),
                percent(robust_accuracy(row, claimed)), *([_gap(board, row)] if board.adaptive else []),
                *end_to_end(row), n,
            ]
        )  # fmt: skip
    headers = [
        "rank", "defense", "trained on", "clean",
        *([f"robust at {board.mark:g}", "area"] if board.adaptive else []),
        f"claimed at {board.mark:g}", *(["gap"] if board.adaptive else []),
        "p50 ms", "p90 ms", "images/s", "n",
    ]  # fmt: skip
    return Table(board.title, headers, rows, _summary_note(board), words=3)


def _summary_note(board: Board) -> str:
    attacks = ", ".join(column.attack for column in board.candidates(board.mark))
    claimed = (
        f"*Claimed*: gray-box `robust_accuracy` at Linf {board.mark:g}, the per-image worst case over the clean image "
        f"and {attacks or 'no attack'}. The attacker knows the classifier but not the purifier, so it bounds nothing"
    )
    cost = "Latency: purifier and classifier at batch 1; images/s at the batch of the latency table."
    if not board.adaptive:
        return f"{claimed}: rows are ranked by attacks that see the purifier, and none of these does. {cost}"
    threats = ", ".join(threat.word for threat in board.threats if threat.judges and not threat.is_baseline)
    tried = sorted(
        {0.0, *(eps for row in board.rows.values() for eps in board.adaptive_sizes(row) if eps <= board.mark)}
    )
    return (
        f"{claimed}. *Robust*, the headline and the rank: the worst case over those and over every attack of "
        f"{threats}, at this size or, where they see the purifier, a smaller one. *Area*: its mean from 0 to the mark, "
        f"by trapezoids between {', '.join(f'{eps:g}' for eps in tried)}. *Gap*: claimed less robust, on the same "
        f"images. The rank is an order; which rows stand, the audit says. {cost}"
    )


def ranked(board: Board) -> list[tuple[str, Row]]:
    """Return the rows with their ranks by the headline.

    Those that have none, or do not stand before the audit, follow without a rank, in the board's order.
    """
    found = [(robust_accuracy(row, board.headline(row, board.mark)), row) for row in board.rows.values()]
    fit = [(e.value, row) for e, row in found if e is not None and audit.stands(board, row)]
    placed = sorted(fit, key=lambda pair: -pair[0])
    ranks = [(str(1 + sum(better > value for better, _ in placed)), row) for value, row in placed]
    named = {row.defense for _, row in ranks}
    return ranks + [(MISSING, row) for row in board.rows.values() if row.defense not in named]


def _headline(board: Board, row: Row) -> list[str]:
    area = aggregate.area(board, row)
    return [
        percent(robust_accuracy(row, board.headline(row, board.mark))),
        MISSING if area is None else f"{100 * area:.1f}",
    ]


def _gap(board: Board, row: Row) -> str:
    gap = aggregate.gap(board, row)
    return MISSING if gap is None else f"{100 * gap:+.1f}"


def point(found: Estimate | None) -> str:
    """Write an estimate in percent."""
    return MISSING if found is None else f"{100 * found.value:.1f}"


def by_size(board: Board, attack: str, threat: Threat | None = None) -> Table:
    """Accuracy of each defense under one attack, a column a size."""
    columns = board.sizes(attack, threat)
    norm = "Linf" if columns[0].norm == "linf" else "L2"
    headers = ["defense", "clean", *(f"{column.eps:g}{'*' if _marked(column) else ''}" for column in columns), "n"]
    rows = []
    for row in board.rows.values():
        cells = [_cell(row, column) for column in columns]
        if not columns[0].threat.is_baseline and set(cells) == {MISSING}:
            continue  # it has nothing to attack there
        n = image_counts(row.cells.get(column) for column in columns)
        rows.append([f"`{row.defense}`", percent(accuracy(row.clean)), *cells, n])
    note = ""
    if any(_marked(column) for column in columns):
        note = (
            "\\* From eps .5 on one grey image stands for every class, so no defense can be robust there; accuracy "
            "under a one-step attack at such a size bounds nothing. Shown because the seed paper reports it."
        )
    return Table(f"Accuracy under {attack} ({norm}, {columns[0].threat.word})", headers, rows, note)


def worst_case(board: Board) -> Table:
    """Per-image worst case of each defense at each size that met every gray-box attack of the mark's."""
    wanted = {column.attack for column in board.candidates(board.mark)}
    tried = sorted({column.eps for column in board.columns if column.norm == "linf" and column.threat.is_baseline})
    sizes = [eps for eps in tried if wanted <= {column.attack for column in board.candidates(eps)}]
    headers = ["defense", *(f"{eps:g}" for eps in sizes), "n"]
    rows = []
    for row in board.rows.values():
        estimates = [percent(robust_accuracy(row, board.candidates(eps))) for eps in sizes]
        n = image_counts(row.cells.get(column) for eps in sizes for column in board.candidates(eps))
        rows.append([f"`{row.defense}`", *estimates, n])
    over = "; ".join(f"{eps:g}: {', '.join(c.attack for c in board.candidates(eps))}" for eps in sizes)
    note = f"Right on the clean image and under every attack at that size ({over})."
    return Table("Gray-box per-image worst case", headers, rows, note)


def span(counts: list[int]) -> str:
    """Write the range of sorted counts."""
    if not counts:
        return MISSING
    return f"{counts[0]:,}" if counts[0] == counts[-1] else f"{counts[0]:,} to {counts[-1]:,}"


def draws(board: Board) -> Table | None:
    """Votes and resubmission of the stochastic rows at the mark; None where there is none."""
    rows = []
    for row in board.rows.values():
        for column in board.candidates(board.mark, *(t for t in board.threats if t.judges)):
            found, result = votes(row, column), row.cells.get(column)
            if found and result:
                shares = (f"{100 * share:.1f}" for share in found)
                attack = column.attack if column.threat.is_baseline else f"{column.attack} ({column.threat.word})"
                numbers = [percent(accuracy(result)), *shares, str(result.identity["draws"]), f"{result.n:,}"]
                rows.append([f"`{row.defense}`", attack, *numbers])
    if not rows:
        return None
    headers = [
        "defense", "attack", "mean over draws", "majority vote", "every draw right", "every draw right, clean",
        "draws", "n",
    ]  # fmt: skip
    note = (
        "Who may resubmit an image until one draw fails is held off where every draw is right. Clean images fail some "
        "draws too: the last share is that of the same images without an attack."
    )
    return Table(f"Stochastic defenses at {board.mark:g}", headers, rows, note, words=2)


def comparisons(board: Board) -> Table | None:
    """Every pair of defenses on the same images; None where fewer than two rows have the worst case at the mark."""
    pairs = paired(board)
    if not pairs:
        return None
    rows = []
    for pair in pairs:
        c = pair.comparison
        rows.append(
            [
                f"`{pair.first}`", f"`{pair.second}`", f"{100 * c.difference:+.1f}", f"{c.wins} : {c.losses}",
                p_text(c.p_value), p_text(pair.adjusted), c.test, str(pair.n),
            ]
        )  # fmt: skip
    headers = ["first", "second", "points", "better : worse", "p", "p (Holm)", "test", "n"]
    what = "headline" if board.adaptive else "gray-box worst case"
    note = f"On the {what} at {board.mark:g}; Holm over the {len(pairs)} pairs of this table."
    return Table("Paired comparison", headers, rows, note, words=2)


def settings(board: Board) -> Table:
    """Every option of every attack of a board."""
    found = {}
    for row in board.rows.values():
        for column, result in row.cells.items():
            options = result.identity["attack"]["options"]
            given = (f"{name} {_setting(value)}" for name, value in options.items() if value is not None)
            found[column.attack] = ", ".join(given) or MISSING
    rows = [[f"`{attack}`", found[attack]] for attack in sorted(found)]
    note = "An option that is not named follows from the others; `bench list attacks` says what each attack is."
    return Table("Attack settings", ["attack", "options"], rows, note, words=2)


def _setting(value: object) -> str:
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def latency(board: Board) -> Table | None:
    """Cost of each defense; None where nothing was timed."""
    rows = []
    for row in board.rows.values():
        timed = row.latency.latency if row.latency else None
        if timed is None or row.latency is None:
            continue
        single = timed["single"]
        spread = [f"{single[part]['p50_ms']:.2f} / {single[part]['p90_ms']:.2f}" for part in ("purifier", "end_to_end")]
        offline = timed["offline"]
        memory = timed["peak_memory_mib"]
        rows.append(
            [
                f"`{row.defense}`", *spread, str(single["end_to_end"]["calls"]), f"{offline['images_per_second']:,.0f}",
                str(offline["batch"]), f"{memory:,.0f}" if memory is not None else MISSING,
                machine(row.latency),
            ]
        )  # fmt: skip
    if not rows:
        return None
    headers = [
        "defense",
        "purifier p50 / p90 ms",
        "end to end p50 / p90 ms",
        "calls",
        "images/s",
        "batch",
        "peak MiB",
        "device",
    ]
    note = "Batch 1 after warm-up, defenses interleaved; compare only rows of one device. Peak: the process's on a CPU."
    return Table("Latency", headers, rows, note)


def machine(result: Result) -> str:
    """Say what a result was computed on."""
    device, threads = result.environment["device_name"], result.environment["threads"]
    counted = f", {threads} thread{'s' if threads > 1 else ''}" if result.environment["device"] == "cpu" else ""
    return f"{device} ({result.environment['device']}{counted})"


def trained_on(result: Result) -> str:
    """Say what the training of a result's defense saw."""
    facts, options = result.facts, result.identity["defense"]["options"]
    weights = facts.get("weights") or {}
    seen = KNOWLEDGE.get(str(facts.get("training_knowledge", "none")), MISSING)
    if facts.get("training_knowledge") == "attack" and "against" in options:
        seen = f"{options['against']} {options.get('eps', 0):g}"
    return f"{seen}, {weights['train_images']:,} images" if weights else seen


def percent(found: Estimate | None) -> str:
    """Write an estimate in percent with its interval."""
    if found is None:
        return MISSING
    return f"{100 * found.value:.1f} [{100 * found.low:.1f}, {100 * found.high:.1f}]"


def p_text(p: float) -> str:
    """Write a p-value."""
    return "< .001" if p < 0.001 else f"{p:.3f}".removeprefix("0")


def _cell(row: Row, column: Column) -> str:
    result = row.cells.get(column)
    return "error" if result is not None and not result.ok else percent(accuracy(result))


def image_counts(results: Iterable[Result | None]) -> str:
    """Write the number of images, or the range where the cells differ."""
    return span(sorted({result.n for result in results if result is not None and result.ok}))


def end_to_end(row: Row) -> list[str]:
    """Write p50 and p90 of purifier and classifier together, in milliseconds, and images/s."""
    timed = row.latency.latency if row.latency else None
    if timed is None:
        return [MISSING, MISSING, MISSING]
    whole = timed["single"]["end_to_end"]
    return [f"{whole['p50_ms']:.2f}", f"{whole['p90_ms']:.2f}", f"{timed['offline']['images_per_second']:,.0f}"]


def _marked(column: Column) -> bool:
    return column.norm == "linf" and column.eps >= ONE_STEP_LIMIT
