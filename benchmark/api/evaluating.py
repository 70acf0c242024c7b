"""Attack defenses from Python: functions in, ``Results`` out."""

from __future__ import annotations

import tempfile
import traceback
import warnings
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Unpack

from rich.console import Console

from purification_bench.benchmark import console
from purification_bench.benchmark.api.options import EvaluateOptions, Kept, RunOptions, split
from purification_bench.benchmark.registries import DATASETS, DEFENSES
from purification_bench.benchmark.run import config, session
from purification_bench.benchmark.run.progress import NoProgress
from purification_bench.benchmark.run.session import Places, Session
from purification_bench.defenses import given
from purification_bench.defenses.base import Defense
from purification_bench.defenses.given import Purifier
from purification_bench.leaderboard.results.result import Result
from purification_bench.leaderboard.results.store import Store
from purification_bench.leaderboard.showing.evaluation import Evaluation, Results


def evaluate(
    defense: str | Defense | Purifier,
    dataset: str = "mnist",
    classifier: str = "model_a",
    *,
    preset: str = "quick",
    name: str | None = None,
    **options: Unpack[EvaluateOptions],
) -> Evaluation:
    """Attack one defense, and the classifier without it, and say what is left; raise ``UserError`` for wrong values.

    Parameters
    ----------
    defense:
        A name or a spec (``"cae[latent_dim=32]"``); an object with ``purify``, registered or not; or any function from
        images ``(N, C, H, W)`` in [0, 1] to their like. Results of objects and functions are always computed anew.
        Whether a function is random, and has a gradient, is tried; an object declares it.
    preset, name:
        What says what ``options`` do not; what the row of an object or a function is called.
    options:
        ``attacks``, ``threats``, ``eps`` (one, a list, or a text with commas), ``n``, ``draws``, ``eot_samples``,
        ``seed``, ``device``, ``latency``, ``protocol``; ``out`` keeps results in a folder, ``progress=False`` is quiet.

    Examples
    --------
    >>> from purification_bench import evaluate
    >>> len(evaluate(lambda x: 0.9 * x, threats="graybox", attacks="fgsm", eps=0.1, n=20).frame())
    2
    """
    asked, kept = split({"latency": False, **options})
    asked |= {"datasets": [dataset], "classifiers": [classifier], "references": ["none"]}
    if isinstance(defense, str):
        return _evaluation(DEFENSES.spec(defense).label, preset, asked, kept)
    with given.known_as(defense, DATASETS.create(dataset).shape, name) as label:
        return _evaluation(label, preset, asked, kept, force=True)


def _evaluation(label: str, preset: str, asked: dict[str, Any], kept: Kept, *, force: bool = False) -> Evaluation:
    return Evaluation(_computed(preset, None, {**asked, "defenses": [label]}, kept, force=force), label)


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
    asked, kept = split(options)
    return Results(_computed(preset, Path(config) if config else None, asked, kept, force=force))


def load(folder: str | Path) -> Results:
    """Return what a result folder holds; raise ``StoreError`` where it holds none.

    Files that cannot be read are left out, with a warning.
    """
    store = Store(Path(folder))
    results = Results(store.results())
    for path, reason in store.set_aside:
        _warn(f"set aside {path}: {reason}")
    return results


def _computed(
    preset: str | None, file: Path | None, asked: dict[str, Any], kept: Kept, *, force: bool = False
) -> list[Result]:
    begun = session.begin(config.load(preset, file, asked, "the arguments"), _places(kept))
    for text in begun.plan.warnings:
        _warn(text)
    with ExitStack() as stack:
        folder = kept.get("out") or stack.enter_context(tempfile.TemporaryDirectory())
        store = Store(Path(folder))
        progress = _progress(begun, store, kept.get("progress"), force)
        outcome = begun.execute(store, stack.enter_context(progress) if progress else NoProgress(), force=force)
        if outcome.failed:
            first = outcome.failed[0]
            counted = f"{len(outcome.failed)} of {outcome.computed} cells failed"
            _warn(f"{counted}: {first.defense}: {first.reason}")
        return begun.results(store)


def _warn(text: str) -> None:
    """Warn at the line that called into this module."""
    level = next(level for level, frame in enumerate(traceback.extract_stack()[::-1]) if frame.filename != __file__)
    warnings.warn(text, stacklevel=1 + level)


def _progress(begun: Session, store: Store, wanted: bool | None, force: bool) -> console.RunProgress | None:
    screen = Console()
    if wanted is False or (wanted is None and not console.has_bars(screen)):
        return None
    return console.RunProgress(screen, begun.todo(store, force=force))


def _places(kept: Kept) -> Places:
    data_dir, weights = kept.get("data_dir"), kept.get("zoo")
    return Places(Path(data_dir) if data_dir else None, Path(weights) if weights else None)
