"""The probes of a defense's contract."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from purification_bench.benchmark.assets.loading import load_defense
from purification_bench.benchmark.paths import SHIPPED_ZOO
from purification_bench.benchmark.registries import CLASSIFIERS, DATASETS, DEFENSES
from purification_bench.benchmark.run.contract import probe
from purification_bench.benchmark.run.judge import Judge
from purification_bench.defenses.base import Defense
from purification_bench.defenses.none import NoDefense


class Noise(Defense):
    stochastic = True

    def purify(self, x):
        return (x + 0.1 * torch.randn_like(x)).clamp(0, 1)


class BatchMean(Defense):
    def purify(self, x):
        return (x + x.mean(dim=0)) / 2


class BatchSize(Defense):
    def purify(self, x):
        return x / len(x)


class KnowsGradients(Defense):
    def purify(self, x):
        return x if not torch.is_grad_enabled() else 1 - x


class Dropout(Defense):
    def __init__(self):
        super().__init__()
        self.drop = nn.Dropout()

    def purify(self, x):
        return self.drop(x).clamp(0, 1)


class Counts(Defense):
    calls = 0

    def purify(self, x):
        self.calls += 1
        return x if self.calls < 5 else 1 - x


class Raises(Defense):
    def purify(self, x):
        return torch.from_numpy(x.numpy().copy())


def found_of(defense, mnist):
    images, classifier = mnist
    judge = Judge(defense.eval(), classifier, "it", defense.stochastic, 1, 0, 50, torch.device("cpu"))
    found = probe(judge, images.x)
    agreement = found.pop("forward_agreement")
    return agreement, {name for name, share in found.items() if share}


@pytest.mark.parametrize(
    ("defense", "agrees", "differs"),
    [
        (NoDefense(), True, set()),
        (Noise(), False, set()),
        (BatchMean(), True, {"differs_by_neighbours"}),
        (BatchSize(), True, {"differs_by_neighbours"}),
        (KnowsGradients(), True, {"differs_with_gradients"}),
        (Dropout(), True, {"differs_in_train_mode"}),
        (Raises(), True, {"differs_with_gradients"}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_a_defense_depends_on_is_found(defense, agrees, differs, mnist):
    assert found_of(defense, mnist) == (agrees, differs)


def test_a_defense_that_counts_its_calls_is_found(mnist):
    assert "differs_when_called_again" in found_of(Counts(), mnist)[1]


class Norm(Defense):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm2d(1)

    def purify(self, x):
        return self.norm(x).clamp(0, 1)


@pytest.mark.parametrize("defense", [Dropout(), Norm()])
def test_the_defense_stays_as_it_was(defense, mnist):
    before = {name: value.clone() for name, value in defense.state_dict().items()}
    found_of(defense, mnist)
    assert not any(module.training for module in defense.modules())
    assert all(torch.equal(value, before[name]) for name, value in defense.state_dict().items())


@pytest.mark.parametrize("name", ["cae", "puvae", "defensegan[steps=10,restarts=2]", "binarize", "median"])
def test_shipped_defenses_keep_their_contract(name, mnist):
    """Batch norm makes CAE another function in train mode; that informs, and no more."""
    dataset, target = DATASETS.create("mnist"), CLASSIFIERS.spec("model_a")
    defense, _ = load_defense(DEFENSES.spec(name), dataset, target, torch.device("cpu"), [SHIPPED_ZOO])
    assert found_of(defense, mnist)[1] <= {"differs_in_train_mode"}
