"""Classifiers and defenses with their weights, and one behind the other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

from purification_bench.attacks.threat import THREATS
from purification_bench.attacks.views import view
from purification_bench.benchmark.assets import loading
from purification_bench.benchmark.assets import zoo as weights
from purification_bench.benchmark.assets.classifiers import Classifier
from purification_bench.benchmark.environment import pick_device
from purification_bench.benchmark.registries import CLASSIFIERS, DATASETS, DEFENSES
from purification_bench.defenses import given
from purification_bench.defenses.base import DefendedClassifier, Defense
from purification_bench.defenses.errors import UserError, unknown_name
from purification_bench.defenses.given import Purifier

TRUE = "true"


def load_classifier(
    classifier: str = "model_a", dataset: str = "mnist", *, device: str = "auto", zoo: str | Path | None = None
) -> Classifier:
    """Return a classifier with its weights, in eval mode: images ``(N, C, H, W)`` in [0, 1] to logits ``(N, K)``.

    Raises ``UserError`` for a name that there is not, or weights that nobody trained.
    """
    made, _ = loading.load_classifier(
        CLASSIFIERS.spec(classifier), DATASETS.create(dataset), pick_device(device), _folders(zoo)
    )
    return made


def load_defense(
    defense: str,
    dataset: str = "mnist",
    classifier: str = "model_a",
    *,
    device: str = "auto",
    zoo: str | Path | None = None,
) -> Defense:
    """Return a defense with its weights, in eval mode; ``classifier`` is the one that it was trained with.

    Raises ``UserError`` for a name that there is not, or weights that nobody trained.
    """
    made, _ = loading.load_defense(
        DEFENSES.spec(defense),
        DATASETS.create(dataset),
        CLASSIFIERS.spec(classifier),
        pick_device(device),
        _folders(zoo),
    )
    return made


def defended(
    defense: str | Defense | Purifier,
    dataset: str = "mnist",
    classifier: str = "model_a",
    gradient: str | None = None,
    *,
    device: str = "auto",
    zoo: str | Path | None = None,
) -> DefendedClassifier:
    """Return a classifier behind a purifier (without a detector) as one module that any attack library can attack.

    Raises ``UserError`` for what there is not, and for the true gradient of a defense without one.

    Parameters
    ----------
    defense:
        A name, a spec, a ``Defense`` that is ready to purify, or a function on images.
    gradient:
        What a backward pass follows: ``"true"``, the purifier's own gradient; ``"bpda"``, its surrogate's; another
        threat that gives gradients. None: the true one where the defense has a useful one, else ``"bpda"``.

    Examples
    --------
    >>> import torch
    >>> from purification_bench import defended
    >>> model = defended("binarize")
    >>> model(torch.rand(2, 1, 28, 28, requires_grad=True)).requires_grad
    True
    """
    if isinstance(defense, str):
        defense = load_defense(defense, dataset, classifier, device=device, zoo=zoo)
    elif not isinstance(defense, Defense):
        defense = given.as_defense(defense, DATASETS.create(dataset).shape)
    target = load_classifier(classifier, dataset, device=device, zoo=zoo)
    return cast(DefendedClassifier, view(_threat(defense, gradient), target, defense).eval())


def _threat(defense: Defense, gradient: str | None) -> str:
    """Return the word of the threat whose view follows a gradient."""
    words = [word for word, each in THREATS.items() if each.view and "gradient" in each.gives and not each.learns]
    if gradient not in (None, TRUE, *words):
        raise unknown_name("gradient", str(gradient), [TRUE, *words])
    own = next(word for word in words if THREATS[word].gradient == TRUE)
    if gradient in (TRUE, own) and not defense.differentiable:
        raise UserError(f"{type(defense).__name__} declares that it has no useful gradient: give gradient='bpda'")
    if gradient is None:
        return own if defense.differentiable else "bpda"
    return own if gradient == TRUE else gradient


def _folders(folder: str | Path | None) -> Sequence[Path]:
    return weights.search_path(Path(folder) if folder else None)
