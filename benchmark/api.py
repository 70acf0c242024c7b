"""What the command line does, for notebooks and programs: functions in, ``Results`` out."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypedDict, Unpack, cast

from rich.console import Console
from torch import nn

from purification_bench.attacks.threat import THREATS
from purification_bench.attacks.views import view
from purification_bench.benchmark import console
from purification_bench.benchmark.assets import loading, zoo
from purification_bench.benchmark.assets.classifiers import Classifier
from purification_bench.benchmark.environment import pick_device
from purification_bench.benchmark.registries import CLASSIFIERS, DATASETS, DEFENSES
from purification_bench.benchmark.run import config, session
from purification_bench.benchmark.run.progress import NoProgress
from purification_bench.benchmark.run.session import Places, Session
from purification_bench.defenses import given
from purification_bench.defenses.base import DefendedClassifier, Defense
from purification_bench.defenses.errors import UserError, unknown_name
from purification_bench.defenses.given import Purifier
from purification_bench.defenses.spec import split_list
from purification_bench.leaderboard.results.store import Store
from purification_bench.leaderboard.showing.evaluation import Evaluation, Results

TRUE = "true"
Listed = str | float | Sequence[str | float]
"""One, or several: in a list, or separated by commas."""


class Options(TypedDict, total=False):
    """What a run is asked for, over its preset. Names are specs, ``name[option=value]``."""

    attacks: Listed
    threats: Listed
    """What the attackers know: ``graybox``, ``whitebox``, ..., ``adaptive``."""
    eps: Listed
    """Sizes in pixel units: numbers, ``"8/255"``, ``"mark"``, ``"mark/3"``."""
    n: int
    """Test images."""
    seed: int
    draws: int
    """Draws of a stochastic defense for each image."""
    eot_samples: int
    """Draws that each gradient is averaged over."""
    latency: bool
    protocol: str
    device: str
    """``auto``, ``cpu`` or ``cuda``."""


class MoreOptions(Options, total=False):
    """What a run over several data sets, classifiers and defenses is asked for besides."""

    datasets: Listed
    classifiers: Listed
    defenses: Listed
    references: Listed


class Kept(TypedDict, total=False):
    """Where results are kept and things are found, and who watches."""

    out: str | Path
    """The result folder: what it holds is not computed again. None: nothing is kept."""
    progress: bool
    """Show bars; by default, where there is a terminal or a notebook."""
    data_dir: str | Path
    zoo: str | Path


class EvaluateOptions(Options, Kept, total=False):
    """What ``evaluate`` takes besides."""


class RunOptions(MoreOptions, Kept, total=False):
    """What ``run`` takes besides."""


def evaluate(
    defense: str | Defense | Purifier,
    dataset: str = "mnist",
    classifier: str = "model_a",
    *,
    preset: str = "quick",
    name: str | None = None,
    **options: Unpack[EvaluateOptions],
) -> Evaluation:
    """Attack one defense, and the classifier without it, and say what is left.

    Parameters
    ----------
    defense:
        A name or a spec (``"cae[latent_dim=32]"``); an object with ``purify``, registered or not; or any function from
        images ``(N, C, H, W)`` in [0, 1] to their like. Results of objects and functions are always computed anew.
        Whether a function is random, and has a gradient, is tried; an object declares it.
    preset:
        What ``options`` do not say is taken from it.
    options:
        ``attacks``, ``threats``, ``eps``, ``n``, ``draws``, ``eot_samples``, ``seed``, ``device``, ``latency``,
        ``protocol``: as the command line has them, a list or a text with commas where several are meant. ``out`` keeps
        the results in a folder, ``progress=False`` shows no bars, ``data_dir`` and ``zoo`` say where to look.
    name:
        What the row of an object or a function is called; its own name, if none is given.

    Raises
    ------
    UserError
        For a name that there is not, or a value that cannot be used.

    Examples
    --------
    >>> from purification_bench import evaluate
    >>> darker = evaluate(lambda x: 0.9 * x, threats="graybox,whitebox", attacks="fgsm", eps=0.1, n=20)
    >>> darker.frame()[["defense", "threat", "eps", "n"]].tail(2)
        defense    threat  eps   n
    1  purifier   graybox  0.1  20
    2  purifier  whitebox  0.1  20
    """
    asked, kept = _split(options)
    asked |= {"datasets": [dataset], "classifiers": [classifier], "references": ["none"]}
    asked.setdefault("latency", False)
    if isinstance(defense, str):
        label = DEFENSES.spec(defense).label
        return Evaluation(_computed(preset, None, {**asked, "defenses": [defense]}, kept), label)
    with given.known_as(defense, DATASETS.create(dataset).shape, name) as label:
        return Evaluation(_computed(preset, None, {**asked, "defenses": [label]}, kept, force=True), label)


def run(
    preset: str | None = None,
    *,
    config: str | Path | None = None,
    force: bool = False,
    **options: Unpack[RunOptions],
) -> Results:
    """Compute what a preset asks for, with a TOML file and ``options`` over it: ``bench run`` without its page.

    Parameters
    ----------
    preset:
        A name that ``bench list presets`` shows; ``quick``, if none is given.
    config:
        A TOML file of the same keys.
    force:
        Compute all anew that ``out`` holds.

    Raises
    ------
    UserError
        For a name that there is not, or a value that cannot be used.

    Examples
    --------
    >>> from purification_bench import run
    >>> results = run(defenses="median", references="none", threats="graybox", attacks="fgsm", eps=[0.1], n=20,
    ...               latency=False)
    >>> len(results)
    4
    """
    asked, kept = _split(options)
    return Results(_computed(preset, Path(config) if config else None, asked, kept, force=force))


def load(folder: str | Path) -> Results:
    """Return what a result folder holds; raise ``StoreError`` where it holds none.

    Files that cannot be read are left out, with a warning.
    """
    store = Store(Path(folder))
    results = Results(store.results())
    for path, reason in store.set_aside:
        warnings.warn(f"set aside {path}: {reason}", stacklevel=2)
    return results


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
    """Return a classifier behind a purifier, as one module that any attack library can attack.

    Parameters
    ----------
    defense:
        A name, a spec, a ``Defense`` that is ready to purify, or a function on images.
    gradient:
        What a backward pass follows: ``"true"``, the purifier's own gradient; ``"bpda"``, its surrogate's; another
        threat that gives gradients. None: the true one where the defense has a useful one, else ``"bpda"``.

    Raises
    ------
    UserError
        For a name that there is not, weights that nobody trained, or the true gradient of a defense without one.

    Examples
    --------
    >>> import torch
    >>> from purification_bench import defended
    >>> model = defended("binarize")
    >>> x = torch.rand(2, 1, 28, 28, requires_grad=True)
    >>> model(x).sum().backward()
    >>> bool(x.grad.abs().sum() > 0)
    True
    """
    if isinstance(defense, str):
        defense = load_defense(defense, dataset, classifier, device=device, zoo=zoo)
    elif not isinstance(defense, Defense):
        defense = given.as_defense(defense, DATASETS.create(dataset).shape)
    words = [word for word, each in THREATS.items() if each.view and "gradient" in each.gives]
    if gradient not in (None, TRUE, *words):
        raise unknown_name("gradient", str(gradient), [TRUE, *words])
    own = next(word for word in words if THREATS[word].gradient == TRUE)
    if gradient in (TRUE, own) and not defense.differentiable:
        raise UserError(f"{type(defense).__name__} declares that it has no useful gradient: give gradient='bpda'")
    chosen = (own if defense.differentiable else "bpda") if gradient is None else gradient
    target: nn.Module = load_classifier(classifier, dataset, device=device, zoo=zoo)
    seen = view(own if chosen == TRUE else chosen, target, defense)
    return cast(DefendedClassifier, seen.eval())


def _split(options: Any) -> tuple[dict[str, Any], Kept]:
    """Return what a run is asked for, and where its results are kept."""
    kept: Any = {key: value for key, value in options.items() if key in Kept.__annotations__}
    asked = {key: _read(key, value) for key, value in options.items() if key not in kept and value is not None}
    return asked, kept


def _read(key: str, value: Any) -> Any:
    """Return a value as a configuration has it: lists where it has lists, of one or of several."""
    if key not in ("attacks", "threats", "eps", "datasets", "classifiers", "defenses", "references"):
        return value
    if isinstance(value, str):
        return split_list(value)
    return [value] if isinstance(value, int | float) else list(value)


def _computed(preset: str | None, file: Path | None, asked: dict[str, Any], kept: Kept, *, force: bool = False) -> Any:
    begun = session.begin(config.load(preset, file, asked, "the arguments"), _places(kept))
    for text in begun.plan.warnings:
        warnings.warn(text, stacklevel=3)
    with ExitStack() as stack:
        folder = kept.get("out") or stack.enter_context(tempfile.TemporaryDirectory())
        store = Store(Path(folder))
        progress = _progress(begun, store, kept.get("progress"), force)
        outcome = begun.execute(store, stack.enter_context(progress) if progress else NoProgress(), force=force)
        if outcome.failed:
            first = outcome.failed[0]
            counted = f"{len(outcome.failed)} of {outcome.computed} cells failed"
            warnings.warn(f"{counted}: {first.defense}: {first.reason}", stacklevel=3)
        return begun.results(store)


def _progress(begun: Session, store: Store, wanted: bool | None, force: bool) -> console.RunProgress | None:
    screen = Console()
    if wanted is False or (wanted is None and not console.has_bars(screen)):
        return None
    return console.RunProgress(screen, begun.todo(store, force=force))


def _places(kept: Kept) -> Places:
    data_dir, weights = kept.get("data_dir"), kept.get("zoo")
    return Places(Path(data_dir) if data_dir else None, Path(weights) if weights else None)


def _folders(folder: str | Path | None) -> Sequence[Path]:
    return zoo.search_path(Path(folder) if folder else None)
