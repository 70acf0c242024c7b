"""The one table of threats: who the attacker is, what it knows, where its gradient comes from. Data only.

To add a threat, ``register_threat`` it with a view of its own (``attacks.views``): every attack that asks for what it
gives runs under it, and results are judged by what it declares.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from purification_bench.defenses.errors import UserError, unknown_name
from purification_bench.defenses.spec import Spec

Norm = Literal["linf", "l2", "l0"]
Knowledge = Literal["graybox", "blackbox", "whitebox"]
Needs = Literal["gradient", "queries", "decoder", "candidates", "defense", "nothing"]
"""What an attack asks of the model: its ``gradient``, its logits (``queries``), a ``decoder``, the ``candidates`` that
a defense chooses among, or ``nothing``.

``defense``: the model is a ``DefendedClassifier``, and averaging over draws is the attack's own affair.
"""
Gradient = Literal[
    "classifier", "substitute", "surrogate", "true", "relaxation", "none", "code", "distance", "one draw", "unknown"
]
"""Where a gradient comes from: the bare ``classifier``; a ``substitute``, another classifier; the purifier forward and
its ``surrogate`` backward; the ``true`` one; that of the purifier's ``relaxation``; ``none``; with respect to the
``code`` that the defense decodes; that of the ``distance`` by which the defense chooses; the true one of
``one draw``; ``unknown`` of images that somebody else made."""


@dataclass(frozen=True)
class Threat:
    """One kind of attacker, a word of ``--threat``."""

    word: str
    summary: str
    gradient: Gradient
    knowledge: Knowledge
    gives: frozenset[Needs]
    """Attacks that need one of these run under it."""
    view: str | None
    """``module:class`` of the view that it attacks through; None: a classifier without its purifier."""
    estimator: str
    """What keys call the place that the gradient comes from."""
    sees_purifier: bool = True
    """The attacker knows the purifier, or its answers."""
    averages_draws: bool = True
    """Gradients, or answers, of a stochastic defense are means over draws."""
    judges: bool = True
    """It enters the worst case; else it informs."""
    required: bool = False
    """No headline goes without an attack of many steps under it, where it fits the defense."""
    asks: tuple[str, ...] = ()
    """What a defense must declare to be attacked so: ``differentiable``, ``stochastic``, ``relaxes``, ``decodes``,
    ``chooses``."""
    judged_on_view: bool = False
    """The verdict is on the view, not on the defense."""
    learns: bool = False
    """Its view is handed a ``network`` that imitates the purifier, fitted to its answers to training images."""

    @property
    def depends_on_defense(self) -> bool:
        """The images depend on the defense; else one set serves all."""
        return self.view is not None

    def declared(self) -> dict[str, Any]:
        """Return what a result records of its threat: all that judging asks."""
        return {
            "word": self.word,
            "gradient": self.gradient,
            "sees_purifier": self.sees_purifier,
            "judges": self.judges,
            "required": self.required,
            "asks": self.asks[0] if self.required and self.asks else None,
        }


def _views(name: str) -> str:
    return f"purification_bench.attacks.views:{name}"


_GRADIENT: frozenset[Needs] = frozenset({"gradient"})

THREATS: dict[str, Threat] = {
    threat.word: threat
    for threat in (
        Threat(
            "graybox", "knows the classifier, not the purifier: what papers report",
            "classifier", "graybox", _GRADIENT | {"nothing"}, None, "bare",
            sees_purifier=False, averages_draws=False,
        ),
        Threat(
            "transfer", "attacks another classifier, knows neither purifier nor weights",
            "substitute", "graybox", _GRADIENT, None, "transfer",
            sees_purifier=False, averages_draws=False,
        ),
        Threat(
            "bpda", "true purifier forward, its surrogate (default: the identity) backward",
            "surrogate", "whitebox", _GRADIENT, _views("BPDA"), "bpda",
            required=True,
        ),
        Threat(
            "learned", "true purifier forward, a network fitted to its answers backward; takes training images",
            "surrogate", "whitebox", _GRADIENT, _views("Learned"), "learned",
            learns=True,
        ),
        Threat(
            "whitebox", "the true gradient through purifier and classifier",
            "true", "whitebox", _GRADIENT | {"defense"}, _views("View"), "full",
            required=True, asks=("differentiable",),
        ),
        Threat(
            "soft", "the true gradient of the purifier's smooth relaxation, where it has one",
            "relaxation", "whitebox", _GRADIENT, _views("Relaxed"), "soft",
            required=True, asks=("relaxes", "differentiable"),
        ),
        Threat(
            "blackbox", "queries the defended classifier, takes no gradient",
            "none", "blackbox", frozenset({"queries"}), _views("View"), "queries",
        ),
        Threat(
            "latent", "searches the latent code of a defense that decodes one",
            "code", "whitebox", frozenset({"decoder"}), _views("Latent"), "latent",
            asks=("decodes",),
        ),
        Threat(
            "choice", "sees the images of which a defense chooses the nearest",
            "distance", "whitebox", frozenset({"candidates"}), _views("Candidates"), "choice",
            asks=("chooses",),
        ),
        Threat(
            "fixed-seed", "whitebox against one draw of the defense's randomness: informs only",
            "one draw", "whitebox", _GRADIENT, _views("OneDraw"), "frozen",
            averages_draws=False, judges=False, asks=("stochastic", "differentiable"), judged_on_view=True,
        ),
    )
}  # fmt: skip
"""The threats of the command line, in the order that runs take them."""

SUBMITTED = Threat(
    "submitted",
    "images from a file (bench score), made by somebody else",
    "unknown",
    "whitebox",
    frozenset(),
    None,
    "submitted",
    averages_draws=False,
)
"""Images from a file (``bench score``)."""
BASELINE = "graybox"
"""What is claimed is claimed under it."""
ADAPTIVE = "adaptive"
"""The word for the baseline and every threat that sees the purifier, or its answers, and judges; but those that learn
from training images, which not everybody has.

The headline needs the baseline and, of these, the ``required`` ones that fit the defense."""


def threat_words() -> list[str]:
    """Return every word of ``--threat``."""
    return [*THREATS, ADAPTIVE]


def threat(word: str) -> Threat:
    """Return the threat of a word; raise ``UserError`` for an unknown one."""
    if word == SUBMITTED.word:
        return SUBMITTED
    if word not in THREATS:
        raise unknown_name("threat", word, THREATS)
    return THREATS[word]


def adaptive() -> tuple[str, ...]:
    """Return the words that ``adaptive`` stands for."""
    seeing = {word for word, each in THREATS.items() if each.sees_purifier and each.judges and not each.learns}
    return tuple(word for word in THREATS if word == BASELINE or word in seeing)


def spelled_out(words: list[str] | tuple[str, ...]) -> tuple[str, ...]:
    """Return the threats that ``words`` name, in the table's order, ``adaptive`` replaced by what it stands for."""
    asked = {each for word in words for each in (adaptive() if word == ADAPTIVE else (word,))}
    return tuple(word for word in THREATS if word in asked)


def register_threat(new: Threat) -> None:
    """Add a threat to the table; a second one of its word raises ``UserError``."""
    if new.word in (*THREATS, SUBMITTED.word, ADAPTIVE) and THREATS.get(new.word) != new:
        raise UserError(f"two threats are named {new.word!r}")
    THREATS[new.word] = new


@dataclass(frozen=True)
class PlannedAttack:
    """One attack at one size under one threat, of strings and numbers alone."""

    attack: Spec
    threat: str
    """A word of the table."""
    norm: Norm
    eps: float
    """The largest distance of x_adv from x, in pixel units: the Linf size, or the L2 bound."""
    batch: int = 1
    """Images attacked at once."""
    eot_samples: int = 1
    """Every gradient is the mean of so many, over draws of the defense's randomness."""
    substitute: Spec | None = None
    """The other classifier that is attacked."""
    substitute_identity: Mapping[str, Any] | None = None
    """What a key holds of it."""
    stand_in: Spec | None = None
    """The cheaper form of the defense that is attacked in its place; the verdict is on the defense itself."""
    file: str | None = None
    """The file that holds the images, where somebody else made them."""
    surrogate: str | None = None
    """The version of the defense's surrogate that is followed; None: the first, or none is."""
    images: tuple[int, ...] | None = None
    """Which of the judged images, by place, that file holds; None: all."""

    @property
    def of(self) -> Threat:
        """The threat."""
        return threat(self.threat)

    def describe(self) -> dict[str, Any]:
        """Return the JSON form that keys and results hold."""
        threat_model = {"norm": self.norm, "eps": self.eps, "knowledge": self.of.knowledge}
        described: dict[str, Any] = {
            "name": self.attack.name,
            "label": self.attack.label,
            "options": dict(self.attack.options),
            "estimator": self.of.estimator,
            "threat": threat_model,
        }
        if self.substitute_identity is not None:
            described["substitute"] = dict(self.substitute_identity)
        if self.of.depends_on_defense:
            stand_in = self.stand_in.label if self.stand_in else None
            described |= {"eot_samples": self.eot_samples, "stand_in": stand_in}
        if self.surrogate is not None:
            described["surrogate"] = self.surrogate
        return described
