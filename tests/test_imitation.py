"""A network that imitates a purifier, and the attacker who follows its gradient."""

from __future__ import annotations

import pytest
import torch
from conftest import SMALL_RUN

from purification_bench.attacks import views
from purification_bench.attacks.threat import THREATS, adaptive
from purification_bench.benchmark.registries import CLASSIFIERS, DATASETS
from purification_bench.benchmark.run import imitation as module
from purification_bench.benchmark.run.imitation import imitation
from purification_bench.benchmark.run.judge import Judge
from purification_bench.defenses.base import DefendedClassifier, Defense
from purification_bench.leaderboard.results.store import Store

CPU = torch.device("cpu")


class Inverted(Defense):
    """The negative, in four grey levels: no gradient, and the identity's leads the wrong way."""

    differentiable = False

    def purify(self, x):
        return (4 * (1 - x)).round() / 4


@pytest.fixture
def fitted(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "cache_dir", lambda: tmp_path)
    dataset = DATASETS.create("shapes")
    classifier = CLASSIFIERS.create("matched", dataset.shape, dataset.num_classes)
    judge = Judge(Inverted(), classifier, "inverted", False, 1, 0, 50, CPU)
    parts = {"dataset": "shapes", "classifier": "matched", "seed": 0}

    def fit(advance=lambda _: None):
        return imitation(judge, dataset.training_split("train"), 0.1, {"name": "inverted"}, parts, advance)

    return fit, dataset, classifier, tmp_path


def test_it_answers_as_the_purifier_does_and_is_fitted_once(fitted):
    fit, dataset, _, folder = fitted
    x = dataset.judged(40).x
    done = []
    network = fit(done.append)
    assert sum(done) == module.EPOCHS * 180
    answer = Inverted().purify(x)
    assert float((network(x) - answer).square().mean()) < float((x - answer).square().mean()) / 5
    (kept,) = (folder / "imitations").iterdir()
    again = fit(done.append)
    assert sum(done) == module.EPOCHS * 180 and kept.is_file()
    assert torch.equal(again(x), network(x))


def test_its_gradient_leads_where_the_identitys_does_not(fitted):
    fit, dataset, classifier, _ = fitted
    x, y = dataset.judged(40)
    defended = DefendedClassifier(classifier, Inverted())
    loss = torch.nn.functional.cross_entropy(defended(x), y)
    raised = {}
    for word in ("bpda", "learned"):
        model = views.view(word, classifier, Inverted(), 0)
        if word == "learned":
            model.network = fit()
        seen = x.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(torch.nn.functional.cross_entropy(model(seen), y), seen)
        raised[word] = float(
            torch.nn.functional.cross_entropy(defended((x + 0.2 * gradient.sign()).clamp(0, 1)), y) - loss
        )
    assert raised["learned"] > 0 > raised["bpda"]


def test_a_view_without_a_network_says_so():
    view = views.view("learned", torch.nn.Identity(), Inverted())
    with pytest.raises(RuntimeError, match="no network was fitted"):
        view(torch.zeros(1, 1, 4, 4))


def test_the_threat_runs_and_is_asked_for_by_name(bench, small_config, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "EPOCHS", 2)
    assert THREATS["learned"].learns and "learned" not in adaptive()
    status, _, _ = bench("run", "--config", small_config, *SMALL_RUN, "--threat", "learned", "--eps", "0.3")
    assert status == 0
    attacked = [r for r in Store(tmp_path / "results").results() if r.attack]
    assert {r.declared.threat.word for r in attacked} == {"learned"} and attacked
