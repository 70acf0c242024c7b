"""Who the attacker is: what it may do to an image, what it knows, where it takes its gradient from. Data only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from purification_bench.defenses.spec import Spec

Norm = Literal["linf", "l2"]
Knowledge = Literal["graybox", "blackbox", "whitebox"]
Estimator = Literal["bare", "queries", "bpda", "full", "soft", "frozen", "latent", "transfer", "submitted"]
"""``bare``: the gradient of the classifier without its purifier. ``queries``: none, only the defended classifier's
logits, counted. ``bpda``: the true purifier forward, its surrogate backward. ``full``: the true gradient. ``soft``:
that of the purifier's relaxation. ``frozen``: the true gradient, the randomness held fixed, in the verdict too.
``latent``: with respect to the code that the defense decodes. ``transfer``:
that of another classifier. ``submitted``: whoever made the images knows."""


@dataclass(frozen=True)
class Threat:
    """A word of the command line: a kind of attacker."""

    knowledge: Knowledge
    estimator: Estimator
    summary: str


THREATS: Mapping[str, Threat] = {
    "graybox": Threat("graybox", "bare", "knows the classifier, not the purifier: what papers report"),
    "transfer": Threat("graybox", "transfer", "attacks another classifier, knows neither purifier nor weights"),
    "bpda": Threat("whitebox", "bpda", "true purifier forward, a surrogate (the identity) backward"),
    "whitebox": Threat("whitebox", "full", "the true gradient through purifier and classifier"),
    "soft": Threat("whitebox", "soft", "the true gradient of the purifier's smooth relaxation, where it has one"),
    "blackbox": Threat("blackbox", "queries", "queries the defended classifier, takes no gradient"),
    "latent": Threat("whitebox", "latent", "searches the latent code of a defense that decodes one"),
    "fixed-seed": Threat("whitebox", "frozen", "whitebox against one draw of the defense's randomness: informs only"),
}
ADAPTIVE = ("graybox", "bpda", "whitebox", "soft", "blackbox", "latent")
"""The threats that the headline is taken over: what ``--threat adaptive`` stands for."""


@dataclass(frozen=True)
class ThreatModel:
    """What the attacker may do (norm and size) and what it knows."""

    norm: Norm
    eps: float
    """The largest distance of x_adv from x, in pixel units: the Linf size, or the L2 bound."""
    knowledge: Knowledge = "graybox"


@dataclass(frozen=True)
class AttackSpec:
    """One attack under one threat model, and where it takes its gradient from."""

    attack: Spec
    threat: ThreatModel
    estimator: Estimator = "bare"
    eot_samples: int = 1
    """Every gradient is the mean of so many, over draws of the defense's randomness."""
    substitute: Mapping[str, Any] | None = None
    """The other classifier that was attacked: what a key holds of it."""
    stand_in: str | None = None
    """Label of the cheaper form of the defense that was attacked in its place; the verdict is on the defense itself."""

    @property
    def sees_defense(self) -> bool:
        """Whether the images depend on the defense: else one set serves all."""
        return self.estimator not in ("bare", "transfer", "submitted")

    def describe(self) -> dict[str, Any]:
        """Return the JSON form that keys and results hold."""
        described: dict[str, Any] = {
            "name": self.attack.name,
            "label": self.attack.label,
            "options": dict(self.attack.options),
            "estimator": self.estimator,
            "threat": asdict(self.threat),
        }
        if self.substitute is not None:
            described["substitute"] = dict(self.substitute)
        if self.sees_defense:
            described |= {"eot_samples": self.eot_samples, "stand_in": self.stand_in}
        return described
