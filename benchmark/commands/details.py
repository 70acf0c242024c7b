"""What is known of one registered name: ``bench list defense NAME``."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from purification_bench.attacks.threat import ADAPTIVE, BASELINE, THREATS, adaptive
from purification_bench.attacks.threat import threat as known_threat
from purification_bench.benchmark.assets import zoo
from purification_bench.defenses.described import Described, described, file_of_module
from purification_bench.defenses.registry import Entry, Registry
from purification_bench.defenses.sources import first_line

DECLARED: Mapping[str, tuple[str, ...]] = {
    "defense": (
        "paper",
        "stochastic",
        "differentiable",
        "training_knowledge",
        "epochs",
        "batch_size",
        "weights_of",
        "version",
    ),
    "attack": ("norm", "needs", "iterates", "single_step", "control", "transfers", "version"),
    "classifier": ("trained", "adversarial_eps", "version"),
    "dataset": ("shape", "num_classes", "eps", "eps_grid", "version"),
}
"""What is told of each kind."""
QUOTES = "'\""
OF_TRAINING = ("epochs", "batch_size")
"""Not told of what is not trained, or has another's weights."""
LISTED = {"defense": "--defenses", "attack": "--attacks", "classifier": "--classifier", "dataset": "--dataset"}


def summary(entry: Entry) -> str:
    """Return the first line of a class's docstring; of an entry point whose source is nowhere, the entry point."""
    if entry.point is None:
        return entry.summary
    file = file_of_module(entry.point.module)
    known = described(file, entry.point.attr) if file else None
    return first_line(known.doc) if known else entry.summary


def of_class(registry: Registry, name: str, folders: Sequence[Path]) -> Iterator[str]:
    """Yield what a class says of itself, its options with their defaults, what it declares, its weights."""
    entry = registry.entries()[name]
    known = _described(registry, entry)
    yield f"{name} ({registry.kind}, {entry.provider})"
    if known is None:
        return
    yield from ("", known.doc)
    if known.options:
        yield from ("", "Options")
        for option in known.options:
            default = "must be given" if option.default is None else f"default {option.default}"
            yield f"  {option.name}: {', '.join(filter(None, (option.kind, option.valid, default)))}"
    told = [flag for flag in DECLARED[registry.kind] if known.declared.get(flag, "''") != "''"]
    if "fit" not in known.defines or "weights_of" in told:
        told = [flag for flag in told if flag not in OF_TRAINING]
    if told:
        yield from ("", "Declares", *(f"  {flag}: {known.declared[flag].strip(QUOTES)}" for flag in told))
    owner = known.declared.get("weights_of", "").strip(QUOTES) or name
    weights = [each for each in zoo.entries(folders) if (each.kind, each.name) == (registry.kind, owner)]
    if weights:
        yield from ("", "Weights", *(f"  {w.label} on {w.place}: {w.scores}" for w in weights))
    given = f"{name}[{known.options[0].name}=...]" if known.options else name
    yield from ("", f"Use: bench run {LISTED[registry.kind]} '{given}'{_under(known.declared.get('needs', ''))}")


def _under(needs: str) -> str:
    """Return the flag of the threats that alone give an attack what it needs; empty where the default ones do."""
    giving = [word for word, each in THREATS.items() if needs.strip(QUOTES) in each.gives]
    return f" --threat {','.join(giving)}" if giving and BASELINE not in giving else ""


def of_threat(word: str) -> Iterator[str]:
    """Yield what the table of threats says of a word."""
    if word == ADAPTIVE:
        yield f"{word}: {', '.join(adaptive())}"
        return
    threat = known_threat(word)
    yield f"{word}: {threat.summary}"
    yield ""
    yield f"  gradient of: {threat.gradient}"
    yield f"  attacks that need: {', '.join(sorted(threat.gives)) or 'none'}"
    yield f"  sees the purifier: {_yes(threat.sees_purifier)}"
    yield f"  averages over draws: {_yes(threat.averages_draws)}"
    yield f"  enters the worst case: {_yes(threat.judges)}"
    yield f"  no headline without it: {_yes(threat.required)}"
    yield f"  fits a defense that declares: {', '.join(threat.asks) or 'anything'}"


def _yes(flag: bool) -> str:
    return "yes" if flag else "no"


def _described(registry: Registry, entry: Entry) -> Described | None:
    """Read a class where it is written: in the built-in's module, the entry point's, or the file that was loaded."""
    if entry.module:
        file = file_of_module(entry.module)
        return described(file, entry.cls) if file else None
    if entry.point:
        file = file_of_module(entry.point.module)
        return described(file, entry.point.attr) if file else None
    cls: type[Any] = registry.get(entry.name)
    source = inspect.getsourcefile(getattr(cls, "plain", cls))
    return described(Path(source), cls.__qualname__) if source else None
