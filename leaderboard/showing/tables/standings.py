"""The head of a board: its rows by rank, with what each is worth and costs."""

from __future__ import annotations

from collections import Counter

from purification_bench.leaderboard.judging import aggregate, audit
from purification_bench.leaderboard.judging.boards import Board, Row
from purification_bench.leaderboard.judging.checks.evidence import smallest_margin
from purification_bench.leaderboard.judging.statistics import Estimate
from purification_bench.leaderboard.results.sizes import in_words
from purification_bench.leaderboard.showing import threats
from purification_bench.leaderboard.showing.names import row_name
from purification_bench.leaderboard.showing.table import Table, figures, words
from purification_bench.leaderboard.showing.tables.cost import end_to_end, hours
from purification_bench.leaderboard.showing.values import (
    Count,
    Counts,
    Margin,
    Missing,
    Name,
    Points,
    Share,
    Size,
    Term,
    Text,
    Value,
    known,
    listing,
    names,
    text,
)
from purification_bench.leaderboard.showing.wording import written

LEGEND = (
    text(
        Term("Clean"),
        ", ",
        Term("claimed"),
        " and ",
        Term("robust"),
        " are percent of the same n images: right without an attack; right under the worst attack by somebody who "
        "knows the classifier and not the purifier, which is what most papers report; right under the worst of all "
        "attacks that were run, with its 95 % interval.",
    ),
    text(
        "The worst is taken image by image: an image counts if no attack breaks it. Rows that nothing is said against "
        "are ranked by ",
        Term("robust"),
        "; where one has no rank, its verdict says why. ",
        Term("p50 ms"),
        ": the median time for one image, purifier and classifier.",
    ),
    text(
        "The verdict is the audit's. ",
        Term("Stands"),
        ": no check speaks against the number, which is still an upper bound. ",
        Term("Fails"),
        ": the checks that are named did not come out as they should, so the attacks may have been fooled, and the "
        "number may be far too high. ",
        Term("Not robust"),
        ": a classifier that guesses would do as well. ",
        Term("Not shown"),
        " to be better: the interval reaches down to that. ",
        Term("Not converged"),
        ": attacks of twice the steps still took more than two points, so more steps may take more. ",
        Term("Not judged"),
        ": an attack is missing without which the number would say nothing.",
    ),
)


def summary(board: Board) -> Table:
    """Return what fits a terminal of 80 columns: what each row is worth and costs, and what the audit makes of it."""
    headings = [*words("rank", "defense"), *figures("clean", "robust", "claimed", "p50 ms", "n"), *words("verdict")]
    rows = [_row(board, rank, row) for rank, row in ranked(board)]
    return Table(f"{board.title}, at {in_words(board.mark)} (%)", headings, rows, _outcome(board))


PASSED_OVER = (
    " Attacks passed over images that others had broken (--worst-case): robust holds all of them, but what each leaves "
    "by itself is not known, nor what most checks would find."
)


def _outcome(board: Board) -> Text:
    """Say in a sentence which defenses a board shows to withstand attacks, and in another what is not known."""
    partial = any(result.partial for row in board.rows.values() for result in row.cells.values())
    return text(*_withstand(board).parts, PASSED_OVER) if partial else _withstand(board)


def _withstand(board: Board) -> Text:
    if not board.adaptive:
        return text("No defense here was attacked by somebody who knows it: nothing is said of what it withstands.")
    stand = [row_name(board, row) for rank, row in ranked(board) if rank is not None]
    if not stand:
        return text(f"No defense here is shown to withstand attackers who know it, at {in_words(board.mark)}.")
    return text(
        "Shown to be better than a guess under attackers who know them, as far as attacks were tried: ",
        *names(each.label for each in stand),
        ".",
    )


def _row(board: Board, rank: int | None, row: Row) -> list[Value]:
    at = aggregate.standing(board, row, board.mark)
    return [
        known(None if rank is None else Count(rank), "no rank"),
        row_name(board, row),
        known(_share(at.clean)),
        known(at.robust),
        known(_share(at.claimed)),
        end_to_end(row)[0],
        known(None if at.n is None else Counts(at.n, at.n)),
        text(audit.verdict(board, row)),
    ]


def _share(estimate: Estimate | None) -> Share | None:
    return None if estimate is None else Share(estimate.value)


def ranked(board: Board) -> list[tuple[int | None, Row]]:
    """Return the rows with their ranks by the headline.

    Those that have none, or do not stand before the audit, follow without a rank: the numbers that no check speaks
    against first.
    """
    worst = {name: aggregate.standing(board, row, board.mark).robust for name, row in board.rows.items()}
    values = {name: e.value for name, e in worst.items() if e is not None}
    placed = {name: values[name] for name, row in board.rows.items() if audit.stands(board, row)}

    def order(row: Row) -> tuple[bool, bool, bool, float]:
        name, value = row.defense, values.get(row.defense, 0.0)
        failed = name in values and bool(audit.gating(audit.audit(board, row)))
        return name not in placed, name not in values, failed, -value

    return [
        (1 + sum(better > placed[row.defense] for better in placed.values()) if row.defense in placed else None, row)
        for row in sorted(board.rows.values(), key=order)
    ]


def worth(board: Board) -> Table | None:
    """Tell what each row is worth at the mark, with every interval; None where no attacker sees a purifier."""
    if not board.adaptive:
        return None
    at = f"at {in_words(board.mark)}"
    headings = [*words("defense"), *figures("clean", f"claimed {at}", f"robust {at}", "gap", "area", "margin", "n")]
    headings += [*figures("hours"), *words("attackers")]
    rows = [_worth(board, row) for _, row in ranked(board)]
    return Table("What each row is worth", headings, rows, _worth_note(board))


def _worth_note(board: Board) -> Text:
    others = ", ".join(threat.word for threat in threats.beyond_baseline(board))
    sizes = {eps for row in board.rows.values() for eps in board.adaptive_sizes(row) if eps <= board.mark}
    tried = written(listing(Size(eps) for eps in sorted({0.0, *sizes})))
    claimed = ", ".join(column.attack for column in board.candidates(board.mark))
    return text(
        Term("Claimed"),
        ": ",
        Name("robust_accuracy"),
        f" under gray-box {claimed or 'no attack'}. ",
        Term("Robust"),
        f": under those and every attack of {others} of this size; attacks that see the purifier count at smaller "
        "sizes too. ",
        Term("Gap"),
        ": claimed less robust. ",
        Term("Area"),
        f": the mean of robust from 0 to the mark, by trapezoids between {tried}; only rows of one page have the same "
        "sizes. ",
        Term("Margin"),
        ": how far apart two attacks must be on so few images before the audit can see it. ",
        Term("Hours"),
        ": of one CPU core, or of one GPU, for its attacks of all sizes and their verdicts; what rows share counts in "
        "each. ",
        Term("Attackers"),
        ": editions of the presets that say which attacks run and how hard they try (",
        Name("bench list presets"),
        "), with how many are of each among the attacks of many steps, at the mark, that robust cannot be without.",
    )


def _worth(board: Board, row: Row) -> list[Value]:
    at, area = aggregate.standing(board, row, board.mark), aggregate.area(board, row)
    return [
        row_name(board, row),
        known(at.clean),
        known(at.claimed),
        known(at.robust),
        known(None if at.gap is None else Points(at.gap)),
        known(None if area is None else Share(area)),
        known(Margin(smallest_margin(row)) if audit.audited(board, row) else None),
        known(None if at.n is None else Counts(at.n, at.n)),
        hours(row),
        _editions(board, row),
    ]


def _editions(board: Board, row: Row) -> Text | Missing:
    """Say which editions of a preset the attacks are of that a row's headline cannot be without."""
    met = board.headline(row, board.mark)
    columns = [
        column for column in met if column.threat.required and column.traits.iterates and column.eps == board.mark
    ]
    counted = Counter(str(row.cells[column].facts.get("edition", "")) for column in columns)
    said = [f"{edition}: {count} of {len(columns)}" for edition, count in sorted(counted.items()) if edition]
    return text(", ".join(said)) if said else Missing()
