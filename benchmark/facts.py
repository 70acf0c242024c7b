"""What registered classes say of themselves, as plain data: all that planning asks of them.

What the built-ins say is remembered in the user's cache, under the digests of the files that say it, so that a plan of
known names needs neither their classes nor torch, which takes seconds to load.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from purification_bench.attacks.threat import Needs, Norm
from purification_bench.benchmark.memo import MEMO
from purification_bench.benchmark.registries import ATTACKS, CLASSIFIERS, DATASETS, DEFENSES
from purification_bench.defenses.errors import UserError
from purification_bench.defenses.faults import FAULTS, reason
from purification_bench.defenses.registry import Registry
from purification_bench.defenses.spec import Spec, label_of, split_spec

if TYPE_CHECKING:
    from purification_bench.attacks.base import Attack
    from purification_bench.defenses.base import Defense


@dataclass(frozen=True)
class Facts:
    """What every registered class says."""

    spec: Spec
    version: str
    source: str | None
    """The digest of a plug-in's source file; None for a built-in, whose version speaks for it."""


@dataclass(frozen=True)
class DatasetFacts(Facts):
    """What a data set says."""

    eps: float
    eps_grid: tuple[float, ...]
    num_classes: int
    images: int | None
    """How many there are to judge on, where that is known before they are loaded."""


@dataclass(frozen=True)
class ClassifierFacts(Facts):
    """What a classifier says."""

    trained: bool


@dataclass(frozen=True)
class DefenseFacts(Facts):
    """What a defense says, with its options."""

    stochastic: bool
    differentiable: bool
    training_knowledge: str
    undefended: bool
    paper: str
    relaxes: bool
    decodes: bool
    chooses: bool
    trained: bool
    sees_classifier: bool
    surrogate_version: str
    inference_options: frozenset[str]
    later_options: frozenset[str]
    training: Spec
    """What of its options its training depends on."""


@dataclass(frozen=True)
class AttackFacts(Facts):
    """What an attack says, with its options."""

    norm: Norm
    needs: Needs
    transfers: bool
    leaves_box: bool
    shares_sizes: bool
    bound: float | None
    asked: str
    """What it asks of the model: a ``gradient``, or a ``query``."""
    times: int
    """How often, of each image."""


F = TypeVar("F", bound=Facts)


def of_dataset(text: str | Spec) -> DatasetFacts:
    """Return what a data set says; raise ``UserError`` for one that cannot be made."""
    return _remembered(DATASETS, text, DatasetFacts, _dataset)


def of_classifier(text: str | Spec) -> ClassifierFacts:
    """Return what a classifier says."""
    return _remembered(CLASSIFIERS, text, ClassifierFacts, _classifier)


def of_defense(text: str | Spec) -> DefenseFacts:
    """Return what a defense says: of one whose constructor fails, what its class says.

    The failure is told by the rows of the defense, when it is made to be judged.
    """
    return _remembered(DEFENSES, text, DefenseFacts, _defense)


def of_attack(text: str | Spec) -> AttackFacts:
    """Return what an attack says; raise ``UserError`` for one that cannot be made."""
    return _remembered(ATTACKS, text, AttackFacts, _attack)


def check(attack: AttackFacts, eps: float) -> str | None:
    """Return what an attack says of a size; raise ``UserError`` where it would measure nothing."""

    def ask() -> str:
        made: Attack = ATTACKS.create(attack.spec)
        return made.check(eps) or ""

    name = attack.spec.name
    return MEMO.recall(ATTACKS, name, f"{attack.spec.label} at {eps!r}", str, ask) or None


def plug_in(call: Callable[..., Any], *args: Any) -> Any:
    """Call into what may be somebody else's code; what it raises is for its author, in one line."""
    try:
        return call(*args)
    except UserError:
        raise
    except FAULTS as error:
        what = getattr(args[0], "label", None) or getattr(call, "__qualname__", "plug-in")
        raise UserError(f"{what}: {reason(error)}") from error


def _remembered(registry: Registry, given: str | Spec, kind: type[F], make: Callable[[Spec], F]) -> F:
    if isinstance(given, Spec):
        return MEMO.recall(registry, given.name, given.label, kind, lambda: make(given))
    return MEMO.recall(registry, split_spec(given)[0], given, kind, lambda: make(registry.spec(given)))


def _dataset(spec: Spec) -> DatasetFacts:
    made = plug_in(DATASETS.create, spec)
    return DatasetFacts(*_common(DATASETS, spec, made), made.eps, tuple(made.eps_grid), made.num_classes, made.images)


def _classifier(spec: Spec) -> ClassifierFacts:
    cls = CLASSIFIERS.get(spec.name)
    return ClassifierFacts(*_common(CLASSIFIERS, spec, cls), cls.trained)


def _defense(spec: Spec) -> DefenseFacts:
    from purification_bench.defenses.base import chooses, decodes, is_trained, relaxes, sees_classifier

    cls: type[Defense] = DEFENSES.get(spec.name)
    declared = _declaring(spec)
    return DefenseFacts(
        *_common(DEFENSES, spec, cls),
        stochastic=bool(declared.stochastic),
        differentiable=bool(declared.differentiable),
        training_knowledge=str(declared.training_knowledge),
        undefended=bool(declared.undefended),
        paper=str(declared.paper),
        relaxes=relaxes(cls),
        decodes=decodes(cls),
        chooses=chooses(cls),
        trained=bool(cls.weights_of) or is_trained(cls),
        sees_classifier=sees_classifier(cls),
        surrogate_version=str(declared.surrogate_version),
        inference_options=frozenset(cls.inference_options),
        later_options=frozenset(cls.later_options),
        training=_training(spec, cls),
    )


def _training(spec: Spec, cls: type[Defense]) -> Spec:
    """Return the name and the options that a defense's weights are found by: another's, where it uses those."""
    options = {name: value for name, value in spec.options.items() if name not in cls.inference_options}
    if cls.weights_of:
        other = DEFENSES.spec(cls.weights_of, **options)
        return _training(other, DEFENSES.get(other.name))
    return Spec(spec.name, options, label_of(spec.name, options, cls, cls.shown_options))


def _declaring(spec: Spec) -> Defense | type[Defense]:
    """Return what declares a defense's flags: an object without weights; the class where making one fails."""
    try:
        made: Defense = DEFENSES.create(spec)
    except UserError:
        raise
    except FAULTS:
        cls: type[Defense] = DEFENSES.get(spec.name)
        return cls
    return made


def _attack(spec: Spec) -> AttackFacts:
    made: Attack = plug_in(ATTACKS.create, spec)
    queries = made.needs == "queries"
    return AttackFacts(
        *_common(ATTACKS, spec, made),
        norm=made.norm,
        needs=made.needs,
        transfers=made.transfers,
        leaves_box=made.leaves_box,
        shares_sizes=made.shares_sizes,
        bound=made.bound,
        asked="query" if queries else "gradient",
        times=int(getattr(made, "queries", 1)) if queries else int(made.gradients_per_image),
    )


def _common(registry: Registry, spec: Spec, made: Any) -> tuple[Spec, str, str | None]:
    return spec, str(getattr(made, "version", "1")), registry.source_digest(spec.name)
