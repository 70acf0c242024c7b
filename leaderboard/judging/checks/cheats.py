"""Checks of what a defense may know that no purifier can."""

from __future__ import annotations

from purification_bench.leaderboard.judging.boards import Board, Row
from purification_bench.leaderboard.judging.checks.contract import NOT_PROBED, largest
from purification_bench.leaderboard.judging.checks.evidence import probed
from purification_bench.leaderboard.judging.checks.finding import Finding, conclude

BETTER = 2.0
"""So many times better may it restore the judged images than the same images moved a little. Honest ones reach 1.2,
copies under a veil 4.2 (docs/audit.md)."""
COPIES = 1e-6
"""Mean square error below which an answer is called a copy."""


def knows_no_judged_image(board: Board, row: Row) -> Finding:
    """Expect noise to be cleaned off the judged images about as well as off the same images moved by a pixel."""
    pairs = [
        (float(result.probes["error_on_judged"]), float(result.probes["error_on_fresh"]))
        for result in probed(row)
        if {"error_on_judged", "error_on_fresh"} <= set(result.probes)
    ]
    said = []
    for judged, fresh in pairs[:1]:
        copies = judged < COPIES <= fresh
        restored = f"noisy images come back with a square error of {judged:.2g}, moved a little of {fresh:.2g}"
        named = "it answers with the judged images themselves: " if copies else ""
        said.append((named + restored, copies or fresh > BETTER * max(judged, COPIES)))
    return conclude("knows no judged image", said, NOT_PROBED)


def remembers_nothing(board: Board, row: Row) -> Finding:
    """Expect the same answers before the defense has seen the clean images and after."""
    changed = largest(row, "differs_after_clean_images")
    sentence = (
        "" if changed is None else f"{100 * changed:.0f} % of noisy images are purified otherwise once it has seen"
    )
    said = [] if changed is None else [(f"{sentence} the clean ones", changed > 0)]
    return conclude("remembers nothing", said, NOT_PROBED)


def draws_from_torch(board: Board, row: Row) -> Finding:
    """Expect random numbers from torch's generator, which is seeded: others' draws cannot be had again."""
    elsewhere = largest(row, "draws_elsewhere")
    sentence = "seeding numpy's generator and Python's changes nothing"
    if elsewhere:
        sentence = "it draws from numpy's generator or Python's, not from torch's"
    return conclude("draws from torch", [] if elsewhere is None else [(sentence, bool(elsewhere))], NOT_PROBED)
