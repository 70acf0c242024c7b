"""The benchmark of adversarial-purification defenses: what users import.

The checkout is the package: ``purification_bench.attacks`` is the folder ``attacks``, and so on. Names that need torch
are loaded when they are first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from purification_bench.attacks.base import Attack as Attack
    from purification_bench.attacks.registry import register_attack as register_attack
    from purification_bench.benchmark.api.evaluating import evaluate as evaluate
    from purification_bench.benchmark.api.evaluating import load as load
    from purification_bench.benchmark.api.evaluating import run as run
    from purification_bench.benchmark.api.models import defended as defended
    from purification_bench.benchmark.api.models import load_classifier as load_classifier
    from purification_bench.benchmark.api.models import load_defense as load_defense
    from purification_bench.benchmark.assets.classifiers import Classifier as Classifier
    from purification_bench.benchmark.assets.classifiers import Recipe as Recipe
    from purification_bench.benchmark.assets.data import ImageDataset as ImageDataset
    from purification_bench.benchmark.assets.data import Images as Images
    from purification_bench.benchmark.registries import register_classifier as register_classifier
    from purification_bench.benchmark.registries import register_dataset as register_dataset
    from purification_bench.defenses.base import DefendedClassifier as DefendedClassifier
    from purification_bench.defenses.base import Defense as Defense
    from purification_bench.defenses.errors import UserError as UserError
    from purification_bench.defenses.registry import register_defense as register_defense
    from purification_bench.leaderboard.showing.evaluation import Evaluation as Evaluation
    from purification_bench.leaderboard.showing.evaluation import Results as Results

_PLACES = {
    "Attack": "attacks.base",
    "Classifier": "benchmark.assets.classifiers",
    "DefendedClassifier": "defenses.base",
    "Defense": "defenses.base",
    "Evaluation": "leaderboard.showing.evaluation",
    "ImageDataset": "benchmark.assets.data",
    "Images": "benchmark.assets.data",
    "Recipe": "benchmark.assets.classifiers",
    "Results": "leaderboard.showing.evaluation",
    "UserError": "defenses.errors",
    "defended": "benchmark.api.models",
    "evaluate": "benchmark.api.evaluating",
    "load": "benchmark.api.evaluating",
    "load_classifier": "benchmark.api.models",
    "load_defense": "benchmark.api.models",
    "register_attack": "attacks.registry",
    "register_classifier": "benchmark.registries",
    "register_dataset": "benchmark.registries",
    "register_defense": "defenses.registry",
    "run": "benchmark.api.evaluating",
}
__all__ = list(_PLACES)


def __dir__() -> list[str]:
    """List the public names, for completion."""
    return sorted(__all__)


def __getattr__(name: str) -> Any:
    """Import a public name where it is defined."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
