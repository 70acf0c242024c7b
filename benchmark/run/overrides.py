"""Where a run differs from its top level: ``[[override]]``, for some defenses, threats, attacks or datasets.

An override names what it is for, then what holds there::

    n = 1000

    [[override]]
    threat = ["blackbox", "latent"]
    n = 200

    [[override]]
    defense = "defensegan"
    threat = "blackbox"
    n = 20
    attacks = ["square[queries=200]"]

Of the overrides that fit a place and say the value that is asked for, those of the last source (preset, file, command
line) count; of these the one with the most selectors; of these the last. Where none does, the top level holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from purification_bench.benchmark.run.sizes import Sizes
from purification_bench.benchmark.run.values import Count, Draws, Options, SomeNames

T = TypeVar("T")


@dataclass(frozen=True)
class Override:
    """What holds for some defenses, threats, attacks or datasets; None: it is not said here.

    A selector is a name or a list of names, options left out: ``defensegan`` is Defense-GAN with any options.
    """

    defense: SomeNames | None = None
    threat: SomeNames | None = None
    attack: SomeNames | None = None
    dataset: SomeNames | None = None
    n: Count | None = None
    draws: Draws | None = None
    latency_batch: Count | None = None
    eot_samples: Count | None = None
    attacks: SomeNames | None = None
    eps: Sizes | None = None
    stand_in: Options | None = None
    """Options of use of the cheaper form that is attacked in its place: the verdict is on the defense itself."""

    @property
    def selectors(self) -> dict[str, tuple[str, ...]]:
        """The names that it is for, by selector."""
        return {key: names for key in SELECTORS if (names := getattr(self, key)) is not None}

    @property
    def values(self) -> dict[str, Any]:
        """What it says, by key."""
        return {key: value for key in CHOSEN_BY if (value := getattr(self, key)) is not None}

    def fits(self, place: Mapping[str, str]) -> bool:
        """Whether it is for this place: a name for every selector that it has."""
        return all(place.get(key) in names for key, names in self.selectors.items())

    def without(self, keys: Iterable[str]) -> Override:
        """Leave what ``keys`` say to others."""
        return replace(self, **dict.fromkeys(self.values.keys() & set(keys)))


SELECTORS = ("defense", "threat", "attack", "dataset")
CHOSEN_BY: Mapping[str, tuple[str, ...]] = {
    "n": ("defense", "threat"),
    "draws": ("defense",),
    "latency_batch": ("defense",),
    "eot_samples": ("defense", "threat"),
    "attacks": ("defense", "threat"),
    "eps": ("threat", "attack", "dataset"),
    "stand_in": ("defense", "threat"),
}
"""The selectors that each value may be chosen by.

Draws and batches are a row's, whatever attacks it. All rows of a table are attacked at the same sizes, so sizes are
never a defense's own.
"""
Sources = tuple[tuple[Override, ...], ...]
"""The overrides of each source, the last of which counts most."""


def resolve(sources: Sources, value: Callable[[Override], T | None], place: Mapping[str, str]) -> T | None:
    """Return what holds at a place, of all the overrides that say it; None where none does."""
    for overrides in reversed(sources):
        saying = [said for said in reversed(overrides) if said.fits(place) and value(said) is not None]
        if saying:
            return value(max(saying, key=lambda said: len(said.selectors)))
    return None
