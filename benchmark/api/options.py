"""What the functions of the API take by name, and how it is read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypedDict, get_type_hints

from purification_bench.defenses.spec import split_list

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
    worst_case: bool
    """Attacks that see the defense pass over what earlier ones have broken: the headline alone, without an audit."""
    protocol: str
    device: str
    """``auto``, ``cpu`` or ``cuda``."""


class MoreOptions(Options, total=False):
    """What a run over several data sets, classifiers and defenses is asked for besides."""

    datasets: Listed
    classifiers: Listed
    defenses: Listed
    references: Listed


LISTS = [key for key, kind in get_type_hints(MoreOptions).items() if kind == Listed]
"""What takes several."""


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


def split(options: Any) -> tuple[dict[str, Any], Kept]:
    """Return what a run is asked for, and where its results are kept."""
    kept: Any = {key: value for key, value in options.items() if key in Kept.__annotations__}
    asked = {key: _read(key, value) for key, value in options.items() if key not in kept and value is not None}
    return asked, kept


def _read(key: str, value: Any) -> Any:
    """Return a value as a configuration has it: lists where it has lists, of one or of several."""
    if key not in LISTS:
        return value
    if isinstance(value, str):
        return split_list(value)
    return [value] if isinstance(value, int | float) else list(value)
