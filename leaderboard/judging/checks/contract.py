"""Checks of the defense itself, and of whether it keeps to what a defense promises."""

from __future__ import annotations

from purification_bench.leaderboard.judging.boards import Board, Row
from purification_bench.leaderboard.judging.checks.evidence import probed
from purification_bench.leaderboard.judging.checks.finding import Finding, conclude

PROMISES = {
    "differs_by_neighbours": "beside other images",
    "differs_with_gradients": "where gradients are enabled",
    "differs_when_called_again": "when it is called again",
}
"""Probes of the defense, and what each has changed."""

NOT_PROBED = "its results hold no such probe"


def two_passes_agree(board: Board, row: Row) -> Finding:
    """Expect a defense that declares itself deterministic to be so."""
    if row.newest.facts["stochastic"]:
        return conclude("two passes agree", [], "it says that it is stochastic")
    ran = any("forward_agreement" in result.probes for result in probed(row))
    differ = row.contradicts_itself
    sentence = f"two passes over the same images {'differ' if differ else 'give the same pixels'}"
    return conclude("two passes agree", [(sentence, differ)] if ran else [], NOT_PROBED)


def keeps_its_contract(board: Board, row: Row) -> Finding:
    """Expect purified pixels to depend on the image alone: not on its neighbours, on who asks, or how often."""
    shares = {words: largest(row, probe) for probe, words in PROMISES.items()}
    measured = {words: changed for words, changed in shares.items() if changed is not None}
    said = [(_otherwise(changed, words), changed > 0) for words, changed in measured.items()]
    return conclude("keeps its contract", said, NOT_PROBED)


def modes_agree(board: Board, row: Row) -> Finding:
    """Expect the same pixels in train mode; informs: batch norm and dropout differ there, and all is judged in eval."""
    changed = largest(row, "differs_in_train_mode")
    said = [] if changed is None else [(_otherwise(changed, "in train mode"), changed > 0)]
    return conclude("modes agree", said, NOT_PROBED, gates=False)


def _otherwise(changed: float, where: str) -> str:
    return f"{100 * changed:.0f} % of images are purified otherwise {where}"


def largest(row: Row, probe: str) -> float | None:
    """Return the largest value of a probe of the defense; None where no result holds it."""
    return max((float(result.probes[probe]) for result in probed(row) if probe in result.probes), default=None)


def attacks_run(board: Board, row: Row) -> Finding:
    """Expect no attack to raise: a defense that declares a gradient must have one, and answer queries."""
    judging = [column for column in row.cells if column.threat.judges]
    errors = {column.threat.word: row.cells[column].reason for column in judging if not row.cells[column].ok}
    said = [(f"{word}: {error}", True) for word, error in errors.items()]
    said += [(f"{len(judging)} attacks ran without an error", False)] if judging and not errors else []
    return conclude("attacks run", said, "nothing attacked it")
