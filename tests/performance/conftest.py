"""What is measured: fixtures for ``make perf``, which ``make test`` leaves out."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from settings import ROUNDS

from purification_bench.benchmark.assets import zoo
from purification_bench.benchmark.assets.loading import load_classifier, load_defense
from purification_bench.benchmark.registries import CLASSIFIERS, DATASETS, DEFENSES

CPU = torch.device("cpu")


class Loaded:
    """MNIST, its classifier, and defenses before it."""

    def __init__(self) -> None:
        self.dataset = DATASETS.create("mnist")
        self.classifier, _ = load_classifier(CLASSIFIERS.spec("model_a"), self.dataset, CPU, zoo.search_path())

    def images(self, n: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the first judged images and their labels."""
        return tuple(self.dataset.judged(n))

    def defense(self, name: str):
        """Return a defense with its shipped weights."""
        spec = CLASSIFIERS.spec("model_a")
        return load_defense(DEFENSES.spec(name), self.dataset, spec, CPU, zoo.search_path())[0]


@pytest.fixture(scope="session")
def loaded() -> Loaded:
    """What is loaded once."""
    return Loaded()


@pytest.fixture(scope="session")
def outputs() -> dict:
    """What one side of a comparison gave, for the other to be held against."""
    return {}


@pytest.fixture
def measure(benchmark):
    """Time a call: the median of ``ROUNDS``, after one that is not counted; returns what the call gave."""

    def timed(call, *, rounds: int = ROUNDS, warm_up: int = 1, **facts):
        benchmark.extra_info.update(facts)
        return benchmark.pedantic(call, rounds=rounds, iterations=1, warmup_rounds=warm_up)

    return timed


@pytest.fixture
def folder(tmp_path_factory):
    """Return new result folders."""

    def new() -> Path:
        return tmp_path_factory.mktemp("store") / "results"

    return new
