"""Checks of the gradients themselves."""

from __future__ import annotations

from purification_bench.leaderboard.judging.boards import Board, Row
from purification_bench.leaderboard.judging.checks.evidence import claims_something, descending, seeing
from purification_bench.leaderboard.judging.checks.finding import Finding, conclude

USELESS_GRADIENTS = 0.05
"""Share of images with a zero or non-finite gradient from which on gradients are called useless."""
CLIMBING = 0.5
"""Share of images on which an attack raises its loss, at least, if it follows a gradient."""
PLANTED, BY_CHANCE = 0.25, 0.25
"""Share of planted examples that an attack finds which works, and the share found by chance above which it says
nothing."""

NO_GRADIENT = "no attack followed a gradient, or the row is right no more often than by chance"


def gradient_auditable(board: Board, row: Row) -> Finding:
    """Expect a gradient to audit: a defense that declares none is judged, and has no rank."""
    declared = row.fits("differentiable")
    return conclude("gradient auditable", [(f"it declares {'a' if declared else 'no'} gradient", not declared)], "")


def gradients_exist(board: Board, row: Row) -> Finding:
    """Expect few images whose gradient is zero everywhere, or not finite; gate where there is no other gradient."""
    shares: dict[str, float] = {}
    for column in seeing(row):
        probes = row.cells[column].probes
        if "zero_gradient_share" in probes:
            useless = float(probes["zero_gradient_share"]) + float(probes.get("non_finite_gradient_share", 0.0))
            shares[column.threat.word] = max(shares.get(column.threat.word, 0.0), useless)
    said = [
        (f"{100 * useless:.0f} % of images have no {word} gradient", useless > USELESS_GRADIENTS)
        for word, useless in shares.items()
    ]
    alone = {column.threat.gradient for column in seeing(row)} == {"true"}
    if not row.fits("differentiable"):
        return conclude("gradients exist", [], "it declares none", gates=alone)
    return conclude("gradients exist", said if claims_something(row) else [], NO_GRADIENT, gates=alone)


def objective_improves(board: Board, row: Row) -> Finding:
    """Expect an attack that sees the purifier to raise its own loss on half of the images at least.

    A surrogate's gradient is a stand-in's, and a relaxation's that of another function: where they do not climb, that
    says nothing of the defense's own, and informs. So it does where no gradient is declared. An attack that leaves
    alone what it does not break is not asked.
    """
    shares = {
        column: float(probes["objective_improved_share"])
        for column in descending(row)
        if column.traits.transfers and "objective_improved_share" in (probes := row.cells[column].probes)
    }
    low = {column: improved for column, improved in shares.items() if improved < CLIMBING}
    said = [
        (
            f"{c} raises its loss on {100 * improved:.0f} % of images",
            c in low,
        )
        for c, improved in shares.items()
    ]
    own = any(column.threat.gradient == "true" for column in low or shares) and row.fits("differentiable")
    return conclude("the objective improves", said if claims_something(row) else [], NO_GRADIENT, gates=own)


def planted_examples_are_found(board: Board, row: Row) -> Finding:
    """Expect the true gradient to lead to adversarial examples that are there by construction."""
    shares = {
        column: float(probes["planted_found_share"])
        for column in seeing(row)
        if (probes := row.cells[column].probes).get("planted_by_chance_share", 1) <= BY_CHANCE
        and "planted_found_share" in probes
    }
    said = [
        (
            f"{c} finds {100 * met:.0f} % of the planted examples",
            met < PLANTED,
        )
        for c, met in shares.items()
    ]
    idle = "none was planted: the purifier keeps too few, chance finds them, or no attack took the true gradient"
    return conclude("planted examples are found", said, idle)
