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


def two_passes_agree(board: Board, row: Row) -> Finding:
    """Expect a defense that declares itself deterministic to be so."""
    ran = any("forward_agreement" in result.probes for result in probed(row))
    complaints = ["two passes over the same images differ"] if row.contradicts_itself else []
    return conclude("two passes agree", ran, complaints, "or the defense says that it is stochastic")


def keeps_its_contract(board: Board, row: Row) -> Finding:
    """Expect purified pixels to depend on the image alone: not on its neighbours, on who asks, or how often."""
    shares = {words: _largest(row, probe) for probe, words in PROMISES.items()}
    measured = {words: changed for words, changed in shares.items() if changed is not None}
    complaints = [
        f"{100 * changed:.0f} % of images are purified otherwise {words}"
        for words, changed in measured.items()
        if changed
    ]
    return conclude("keeps its contract", bool(measured), complaints, "pixels depend on the image alone")


def modes_agree(board: Board, row: Row) -> Finding:
    """Expect the same pixels in train mode; informs: batch norm and dropout differ there, and all is judged in eval."""
    changed = _largest(row, "differs_in_train_mode")
    complaints = [f"{100 * changed:.0f} % of images are purified otherwise in train mode"] if changed else []
    passed = "train and eval mode give the same pixels"
    return conclude("modes agree", changed is not None, complaints, passed, gates=False)


def _largest(row: Row, probe: str) -> float | None:
    return max((float(result.probes[probe]) for result in probed(row) if probe in result.probes), default=None)


def attacks_run(board: Board, row: Row) -> Finding:
    """Expect no attack to raise: a defense that declares a gradient must have one, and answer queries."""
    judging = [column for column in row.cells if column.threat.judges]
    errors = {column.threat.word: row.cells[column].reason for column in judging if not row.cells[column].ok}
    complaints = [f"{word}: {error}" for word, error in errors.items()]
    return conclude("attacks run", bool(judging), complaints, "no attack raised an error")
