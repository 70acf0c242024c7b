"""What a plan says of a defense: what its key holds, what it declares, how often it is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from purification_bench.benchmark.assets import zoo
from purification_bench.benchmark.assets.finding import find_defense
from purification_bench.benchmark.facts import DatasetFacts, DefenseFacts
from purification_bench.benchmark.run.cells import Judged
from purification_bench.benchmark.run.config import RunConfig
from purification_bench.benchmark.run.identity import identity, training_of
from purification_bench.defenses.spec import Spec


def judged(
    defense: DefenseFacts,
    dataset: DatasetFacts,
    classifier: Spec,
    classifier_weights: zoo.Weights | None,
    folders: Sequence[Path],
    config: RunConfig,
) -> Judged:
    """Describe a defense on a data set before a classifier; raise ``UserError`` for weights that nobody trained."""
    weights = find_defense(defense, dataset.spec.name, classifier, folders)
    facts = {
        "eps_mark": dataset.eps,
        "num_classes": dataset.num_classes,
        "stochastic": defense.stochastic,
        "differentiable": defense.differentiable,
        "relaxes": defense.relaxes,
        "decodes": defense.decodes,
        "chooses": defense.chooses,
        "training_knowledge": defense.training_knowledge,
        "paper": defense.paper,
        "weights": training_of(weights),
        "classifier": training_of(classifier_weights),
    }
    if config.edition:
        facts["edition"] = config.edition
    draws = config.draws_of(defense.spec.name) if defense.stochastic else 1
    return Judged(defense.spec, identity(defense, weights), facts, draws, defense.undefended)
