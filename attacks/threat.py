"""Who the attacker is: what it may do to an image, and what it knows. Data only."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from defenses.spec import Spec

Norm = Literal["linf", "l2"]
Knowledge = Literal["graybox"]
Estimator = Literal["bare"]


@dataclass(frozen=True)
class ThreatModel:
    """What the attacker may do (norm and size) and what it knows."""

    norm: Norm
    eps: float
    """The largest distance of x_adv from x, in pixel units: the Linf size, or the L2 bound."""
    knowledge: Knowledge = "graybox"
    """``graybox``: the classifier is known, the purifier before it is not."""


@dataclass(frozen=True)
class AttackSpec:
    """One attack under one threat model, and where it takes its gradient from."""

    attack: Spec
    threat: ThreatModel
    estimator: Estimator = "bare"
    """``bare``: the gradient of the classifier without its purifier."""

    def describe(self) -> dict[str, Any]:
        """Return the JSON form that keys and results hold."""
        return {
            "name": self.attack.name,
            "label": self.attack.label,
            "options": dict(self.attack.options),
            "estimator": self.estimator,
            "threat": asdict(self.threat),
        }
