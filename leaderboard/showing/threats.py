"""What pages ask of threats."""

from __future__ import annotations

from purification_bench.leaderboard.judging.boards import Board
from purification_bench.leaderboard.results.declared import Threat
from purification_bench.leaderboard.results.result import Result


def judging(board: Board) -> list[Threat]:
    """Return the threats of a board that enter worst cases."""
    return [threat for threat in board.threats if threat.judges]


def beyond_baseline(board: Board) -> list[Threat]:
    """Return those of them that the headline adds to the claim."""
    return [threat for threat in judging(board) if not threat.is_baseline]


def named(attack: str, threat: Threat) -> list[str]:
    """Return the words that name an attack: its threat too, where it is not the baseline."""
    return [attack] if threat.is_baseline else [attack, threat.word]


def threat_name(result: Result) -> str | None:
    """Return what a result's threat is called; None for clean images."""
    return result.declared.threat.word if result.declared.threat else None
