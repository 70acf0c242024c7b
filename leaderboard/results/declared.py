"""What a result declares of its attack, its threat and its defense: what it is judged by, in place of their names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Needs = Literal["gradient", "queries", "decoder", "candidates", "defense", "nothing"]
"""What an attack asks of the model: its gradient, its logits, the decoder of its defense, the candidates that its
defense chooses among, the defense itself."""
Gradient = Literal[
    "classifier", "substitute", "surrogate", "true", "relaxation", "none", "code", "distance", "one draw", "unknown"
]
"""Whose gradient an attacker follows: the bare classifier's, another classifier's, that of the defended classifier with
a stand-in for the purifier's, the true one, that of the purifier's relaxation, none at all, that of the code a defense
decodes, that of the distance by which a defense chooses, the true one under one draw of the randomness; or nobody
knows."""


@dataclass(frozen=True)
class AttackTraits:
    """How an attack works, with the options that it has."""

    needs: Needs
    iterates: bool
    """It takes many steps: one step bounds little."""
    single_step: bool
    """It takes one step along a gradient, of the whole size."""
    control: bool
    """It knows nothing of the model: what chance, or no image at all, would do."""
    transfers: bool
    """It moves images that it does not break as well."""

    @property
    def descends(self) -> bool:
        """Whether it takes many steps along the gradient of the pixels."""
        return self.iterates and self.needs == "gradient"


@dataclass(frozen=True)
class Threat:
    """What an attacker knows, and what its results count for."""

    word: str
    """What it is called."""
    gradient: Gradient
    sees_purifier: bool
    """Its images depend on the purifier, were it only through its answers."""
    judges: bool
    """It enters the worst case; else it informs."""
    required: bool
    """No headline goes without an attack of many steps under it, where it fits the defense."""
    asks: str | None
    """The fact of a defense that must be true for the threat to fit it; None where it fits every one."""

    @property
    def is_baseline(self) -> bool:
        """Whether its attacker knows the classifier and no purifier: what a claimed robustness is made of."""
        return self.gradient == "classifier"

    @property
    def follows_gradient(self) -> bool:
        """Whether its attacker sees the purifier and follows a gradient into the worst case."""
        return self.sees_purifier and self.judges and self.gradient not in ("none", "unknown")


@dataclass(frozen=True)
class DefenseTraits:
    """What kind of row a defense makes."""

    undefended: bool
    """It changes nothing: the row that the others are held against, and that attacks must break."""


@dataclass(frozen=True)
class Declared:
    """What one result declares; clean and timed cells have no attack and no threat."""

    attack: AttackTraits | None
    threat: Threat | None
    defense: DefenseTraits
