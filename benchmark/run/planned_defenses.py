"""What a plan says of a defense: what its key holds, what it declares, how often it is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from purification_bench.benchmark.assets import zoo
from purification_bench.benchmark.assets.data import ImageDataset
from purification_bench.benchmark.assets.loading import find_defense
from purification_bench.benchmark.registries import DEFENSES
from purification_bench.benchmark.run.cells import Judged
from purification_bench.benchmark.run.config import RunConfig
from purification_bench.benchmark.run.identity import identity, training_of
from purification_bench.defenses.base import Defense, decodes, relaxes
from purification_bench.defenses.errors import UserError
from purification_bench.defenses.faults import FAULTS
from purification_bench.defenses.spec import Spec


def judged(
    spec: Spec,
    dataset: ImageDataset,
    classifier: Spec,
    classifier_weights: zoo.Weights | None,
    folders: Sequence[Path],
    config: RunConfig,
) -> Judged:
    """Describe a defense on a data set before a classifier; raise ``UserError`` for weights that nobody trained."""
    declared = _declaring(spec)
    weights = find_defense(spec, dataset.spec.name, classifier, folders)
    facts = {
        "eps_mark": dataset.eps,
        "num_classes": dataset.num_classes,
        "stochastic": bool(declared.stochastic),
        "differentiable": bool(declared.differentiable),
        "relaxes": relaxes(DEFENSES.get(spec.name)),
        "decodes": decodes(DEFENSES.get(spec.name)),
        "training_knowledge": declared.training_knowledge,
        "paper": str(declared.paper),
        "weights": training_of(weights),
        "classifier": training_of(classifier_weights),
    }
    draws = config.draws_of(spec.name) if declared.stochastic else 1
    return Judged(spec, identity(DEFENSES, spec, weights), facts, draws, bool(declared.undefended))


def _declaring(spec: Spec) -> Defense | type[Defense]:
    """Return what declares a defense's flags: an object without weights; the class where making one fails.

    The failure is told by the rows of the defense, when it is made to be judged.
    """
    try:
        made: Defense = DEFENSES.create(spec)
    except UserError:
        raise
    except FAULTS:
        cls: type[Defense] = DEFENSES.get(spec.name)
        return cls
    return made
