"""The attacks that a plan lets loose on a defense: which, at which sizes, through what, with how many draws."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from purification_bench.attacks.protocol import PROTOCOLS
from purification_bench.attacks.threat import PlannedAttack, Threat, threat
from purification_bench.benchmark.assets import zoo
from purification_bench.benchmark.assets.finding import find_classifier
from purification_bench.benchmark.facts import (
    AttackFacts,
    ClassifierFacts,
    DatasetFacts,
    check,
    of_attack,
    of_classifier,
    of_defense,
)
from purification_bench.benchmark.run.cells import Judged, Setting
from purification_bench.benchmark.run.config import RunConfig
from purification_bench.benchmark.run.identity import identity
from purification_bench.defenses.errors import UserError
from purification_bench.defenses.spec import Spec, write_spec

LACKS: Mapping[str, str] = {
    "differentiable": "it declares that it is not differentiable",
    "relaxes": "it has no relaxation",
    "decodes": "it decodes no latent code",
    "chooses": "it does not choose the nearest of several images",
    "stochastic": "it is deterministic",
}
"""What is said of a defense that does not declare what a threat asks of it."""


@dataclass(frozen=True)
class AttackPlanner:
    """Plans the attacks on the defenses of one data set before one classifier."""

    dataset: DatasetFacts
    classifier: Spec
    config: RunConfig
    folders: Sequence[Path]
    warnings: list[str]
    """Takes what is left out, and why."""

    def attacks_on(self, defense: Judged, word: str, setting: Setting) -> Iterator[PlannedAttack]:
        """Yield the attacks on a defense under one threat; none where the threat does not fit it."""
        kind, name = threat(word), defense.spec.name
        attacks = [of_attack(text) for text in self.config.attacks_of(name, word)]
        if not self._fits(defense, kind, attacks):
            return
        stand_in, surrogate = self._stand_in(defense, kind), _surrogate(defense, kind)
        substitute, substitute_identity = self._substitute if kind.gradient == "substitute" else (None, None)
        for attack in attacks:
            self._check_box(attack)
            if not _may_run(attack, kind):
                continue
            samples = self._samples(defense, kind, attack)
            batch = max(1, setting.batch_size // samples)  # copies and images together fill the batch
            for eps in self._sizes(attack, word):
                yield PlannedAttack(
                    attack.spec,
                    word,
                    attack.norm,
                    eps,
                    batch,
                    samples,
                    substitute,
                    substitute_identity,
                    stand_in,
                    surrogate=surrogate,
                )

    def _fits(self, defense: Judged, kind: Threat, attacks: Sequence[AttackFacts]) -> bool:
        lacking = next((flag for flag in kind.asks if not defense.facts[flag]), None)
        if lacking is not None:
            if kind.gradient == "true" and defense.spec.name not in self._references:
                self._warn(f"{defense.spec.label} is judged without {kind.word}: {LACKS[lacking]}")
            return False
        for attack in attacks:
            if attack.needs in kind.gives and not _may_run(attack, kind):
                self._warn(f"{attack.spec.label} does not run under {kind.word}: it leaves unbroken images clean")
        if not any(attack.needs in kind.gives for attack in attacks):
            wanted = " or ".join(sorted(kind.gives))
            mend = f"name one in an [[override]] of {kind.word}"
            self._warn(f"nothing runs under {kind.word}: no attack takes its {wanted}; {mend}")
            return False
        return kind.gradient != "substitute" or self._substitute[0] is not None

    def _samples(self, defense: Judged, kind: Threat, attack: AttackFacts) -> int:
        if not (kind.averages_draws and defense.stochastic and attack.needs in ("gradient", "queries")):
            return 1
        return self.config.eot_samples_of(defense.spec.name, kind.word)

    def _check_box(self, attack: AttackFacts) -> None:
        if attack.leaves_box and PROTOCOLS[self.config.protocol].box:
            free = ", ".join(name for name, rules in PROTOCOLS.items() if not rules.box)
            raise UserError(f"attack {attack.spec.label!r} leaves the box [0, 1]: it needs --protocol {free}")

    @property
    def _references(self) -> set[str]:
        """Names of the rows that run in every table: what does not fit them is no news."""
        return {text.partition("[")[0] for text in self.config.references}

    @cached_property
    def _substitute(self) -> tuple[Spec | None, dict[str, Any] | None]:
        """The classifier that is attacked in place of the judged one, and its identity; none where it is missing."""
        classifier = self._as_trained(of_classifier(self.config.substitute))
        try:
            weights = find_classifier(classifier, self.dataset.spec.name, self.folders)
        except UserError as error:
            self._warn(f"{self.dataset.spec.label} is judged without transfer: {error}")
            return None, None
        return classifier.spec, identity(classifier, weights)

    def _as_trained(self, asked: ClassifierFacts) -> ClassifierFacts:
        """Return a classifier with the options that it was trained with on this data set, where none are asked for.

        What makes a classifier robust differs from one data set to another: its size of attack, above all.
        """
        place = ("classifier", asked.spec.name, self.dataset.spec.name)
        trained = {each.label for each in zoo.entries(self.folders) if (each.kind, each.name, each.dataset) == place}
        if "[" in self.config.substitute or asked.spec.label in trained or len(trained) != 1:
            return asked
        return of_classifier(trained.pop())

    def _stand_in(self, defense: Judged, kind: Threat) -> Spec | None:
        """Return what is attacked in a defense's place; None where it is attacked as it is."""
        options = self.config.stand_in_of(defense.spec.name, kind.word)
        if not kind.sees_purifier or kind.gradient == "none" or not options:
            return None
        of_use = of_defense(defense.spec).inference_options
        for option in sorted(set(options) - of_use):
            raise UserError(
                f"a stand-in has the defense's own weights: option {option!r} of {defense.spec.name!r} asks "
                f"for others. Options of use: {', '.join(sorted(of_use)) or 'none'}"
            )
        spec = of_defense(write_spec(defense.spec.name, {**defense.spec.options, **options})).spec
        return None if spec.label == defense.spec.label else spec

    def _sizes(self, attack: AttackFacts, word: str) -> tuple[float, ...]:
        if attack.norm != "linf":
            if attack.bound is None:
                raise UserError(f"attack {attack.spec.label!r} of norm {attack.norm} states no bound")
            return (attack.bound,)
        place = (self.dataset.spec.name, attack.spec.name, word)
        sizes = self.config.sizes(*place, self.dataset.eps_grid, self.dataset.eps)
        for eps in sizes:
            for warning in (check(attack, eps), _unusual(eps)):
                if warning:
                    self._warn(warning)
        return sizes

    def _warn(self, text: str) -> None:
        if text not in self.warnings:
            self.warnings.append(text)


def _surrogate(defense: Judged, kind: Threat) -> str | None:
    """Return the version of the surrogate that a threat follows; None of the first, which keys do not hold."""
    version = of_defense(defense.spec).surrogate_version
    return version if kind.gradient == "surrogate" and not kind.learns and version != "1" else None


def _unusual(eps: float) -> str | None:
    """Return what is said of a size that an image in [0, 1] cannot mean."""
    if eps > 1:
        return f"eps {eps:g} is more than the whole box: pixels lie in [0, 1]. Is {eps:g}/255 meant?"
    return "eps 0 changes nothing: accuracy there is the clean one" if eps == 0 else None


def _may_run(attack: AttackFacts, kind: Threat) -> bool:
    """Say whether a threat gives an attack what it needs, and what it finds means something to what is judged."""
    return attack.needs in kind.gives and (kind.sees_purifier or attack.transfers)
