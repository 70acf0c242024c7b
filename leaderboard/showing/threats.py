"""What pages ask of a threat or an attack: the one place of this room that knows any by its name."""

from __future__ import annotations

from purification_bench.leaderboard.judging.boards import INFORMS, REFERENCE, Board, Column, threat_of
from purification_bench.leaderboard.results.result import Result

GRAYBOX = "graybox"


def is_graybox(threat: str) -> bool:
    """Say whether the attacker knows the classifier alone."""
    return threat == GRAYBOX


def needs_gradient(threat: str) -> bool:
    """Say whether the threat has nothing to attack where a defense declares no gradient."""
    return threat == "whitebox"


def judging(board: Board) -> list[str]:
    """Return the threats of a board that enter worst cases."""
    return [threat for threat in board.threats if threat not in INFORMS]


def beyond_graybox(board: Board) -> list[str]:
    """Return those of them that the headline adds to the claim."""
    return [threat for threat in judging(board) if not is_graybox(threat)]


def named(attack: str, threat: str) -> list[str]:
    """Return the words that name an attack: its threat too, where it is not gray-box."""
    return [attack] if is_graybox(threat) else [attack, threat]


def is_attack(column: Column) -> bool:
    """Say whether a column is an attack, and not a control that looks for nothing."""
    return column.attack != "noise"


def is_undefended(defense: str) -> bool:
    """Say whether this is the row of the classifier alone."""
    return defense == REFERENCE


def threat_name(result: Result) -> str | None:
    """Return what a result's threat is called; None for clean images."""
    return threat_of(result) if result.attack else None
