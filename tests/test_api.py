"""The Python API: what a notebook or a program does without the command line."""

from __future__ import annotations

import doctest
import io
from pathlib import Path

import foolbox
import pandas as pd
import pytest
import torch
import torchattacks
from conftest import ZOO
from rich.console import Console
from torch import nn

import purification_bench as pb
from purification_bench.benchmark import console
from purification_bench.benchmark.api import evaluating, models
from purification_bench.benchmark.registries import DEFENSES
from purification_bench.defenses import sources
from purification_bench.leaderboard.results.errors import StoreError

SHAPES = {"dataset": "shapes", "classifier": "matched", "threats": "adaptive", "progress": False}
FEW = {"attacks": ["fgsm", "pgd[steps=3]"], "eps": ["mark"], "n": 40}
MNIST = {"dataset": "mnist", "classifier": "small", "zoo": ZOO}
"""Evaluations of a second."""


def halved(x):
    """Move all pixels towards grey."""
    return 0.5 * x + 0.25


@pytest.fixture(scope="module")
def evaluation():
    return pb.evaluate(halved, **SHAPES, **FEW)


def test_a_lambda_is_evaluated_in_three_lines():
    from purification_bench import evaluate

    result = evaluate(lambda x: x.round(), **SHAPES, **FEW)
    assert result.headline()["robust"].item() <= result.headline()["claimed"].item()
    assert result.defense == "purifier"


def test_a_frame_is_tidy_one_row_a_cell(evaluation):
    frame = evaluation.frame()
    assert set(frame.defense) == {"halved"}
    assert {"accuracy", "low", "high", "n", "attack", "threat", "eps", "seconds"} <= set(frame.columns)
    assert set(frame.threat.dropna()) == {"graybox", "bpda", "whitebox"}
    assert ((frame.low <= frame.accuracy) & (frame.accuracy <= frame.high)).all()
    assert not frame.duplicated(["attack", "threat", "eps"]).any()
    assert (frame.n == 40).all()


def test_the_headline_the_audit_and_the_plot_are_of_the_defense_alone(evaluation):
    (headline,) = evaluation.headline().to_dict("records")
    assert headline["defense"] == "halved"
    assert headline["robust"] <= headline["claimed"] <= headline["clean"]
    assert headline["eps"] == 0.1
    assert set(evaluation.audit().defense) == {"halved"}
    assert set(evaluation.audit().state) <= {"passed", "failed", "not run"}
    assert evaluation.plot()._repr_png_().startswith(b"\x89PNG")
    titles = [axes.get_title() for axes in evaluation.plot().axes if axes.get_visible()]
    assert sorted(titles) == ["halved", "none"]
    with pytest.raises(StoreError, match="there is no board 3"):
        evaluation.plot(3)


def test_an_evaluation_shows_itself(evaluation):
    shown = evaluation._repr_html_()
    assert shown.count("<table>") == 1
    assert "halved" in shown
    assert "halved" in repr(evaluation)
    assert "robust" in repr(evaluation)


def test_a_name_in_html_is_inert():
    result = pb.evaluate(halved, name="a_b", **SHAPES, **FEW)
    assert "a_b" in result._repr_html_()
    with pytest.raises(pb.UserError, match="cannot call a defense '<b>'"):
        pb.evaluate(halved, name="<b>", **SHAPES, **FEW)


def test_a_function_an_object_and_a_registered_class_give_the_same(evaluation):
    class Halved(pb.Defense):
        def purify(self, x):
            return halved(x)

    class Plain:
        def purify(self, x):
            return halved(x)

    class Module(nn.Module):
        def forward(self, x):
            return halved(x)

    expected = evaluation.frame().accuracy.tolist()
    for given in (Halved(), Plain(), Module()):
        result = pb.evaluate(given, name="halved", **SHAPES, **FEW)
        assert result.frame().accuracy.tolist() == expected
    with DEFENSES.lent("registered", Halved):
        assert pb.evaluate("registered", **SHAPES, **FEW).frame().accuracy.tolist() == expected


def test_what_an_object_declares_counts():
    class Rounded:
        differentiable = False
        stochastic = True

        def purify(self, x):
            return (x + 0.05 * torch.randn_like(x)).clamp(0, 1).round()

    frame = pb.evaluate(Rounded(), **SHAPES, **FEW, draws=2, eot_samples=2).frame()
    assert "whitebox" not in set(frame.threat)
    assert frame.stochastic.all()
    assert set(frame.draws) == {2}


@pytest.mark.parametrize(
    ("function", "stochastic", "differentiable"),
    [
        (halved, False, True),
        (lambda x: (x > 0.5).float(), False, False),
        (lambda x: (x + torch.rand_like(x) / 9).clamp(0, 1), True, True),
        (lambda x: x / 0 if len(x) > 2 else x[5], False, True),
    ],
)
def test_what_a_function_cannot_declare_is_tried(function, stochastic, differentiable):
    frame = pb.evaluate(function, **SHAPES, **FEW, draws=2, eot_samples=2).frame()
    assert set(frame.stochastic) == {stochastic}
    assert ("whitebox" in set(frame.threat)) == differentiable


def test_a_trained_defense_that_was_loaded_keeps_its_weights():
    loaded = pb.load_defense("cae")
    before = {name: tensor.clone() for name, tensor in loaded.state_dict().items()}
    options = {**MNIST, "attacks": "fgsm", "eps": 0.3, "threats": "graybox", "n": 20, "progress": False}
    again = pb.evaluate(loaded, name="mine", **options).frame()
    assert all(torch.equal(loaded.state_dict()[name], tensor) for name, tensor in before.items())
    target = pb.load_classifier("small", zoo=ZOO)
    x = torch.rand(3, 1, 28, 28)
    behind = pb.defended(loaded, classifier="small", zoo=ZOO)
    torch.manual_seed(0)
    expected = target(loaded.purify(x))
    torch.manual_seed(0)
    assert torch.allclose(behind(x), expected, atol=1e-4)
    assert (again.accuracy > 0.3).any()


def test_a_live_object_is_forgotten_and_computed_anew(tmp_path):
    kept = {**SHAPES, **FEW, "threats": "graybox", "out": tmp_path}
    factor = 1.0
    first = pb.evaluate(lambda x: factor * x, name="dimmed", **kept).frame()
    factor = 0.0
    second = pb.evaluate(lambda x: factor * x, name="dimmed", **kept).frame()
    assert first.accuracy.max() > second.accuracy.max()
    assert "dimmed" not in DEFENSES.names()


def test_results_are_kept_and_loaded(tmp_path, evaluation):
    options = {"datasets": "shapes", "classifiers": "matched", "threats": "graybox", **FEW, "latency": False}
    results = pb.run(defenses="median,median[size=5]", references=["none"], **options, out=tmp_path, progress=False)
    assert len(results) == 9
    again = pb.run(defenses="median,median[size=5]", references=["none"], **options, out=tmp_path, progress=False)
    assert [result.created for result in again] == [result.created for result in results]
    assert [each.key for each in pb.load(tmp_path)] == [each.key for each in sorted(results, key=lambda r: r.created)]
    (tmp_path / "cells" / "x.json").write_text("{}")
    with pytest.warns(UserWarning, match="set aside"):
        assert len(pb.load(tmp_path)) == 9
    with pytest.raises(StoreError, match="holds no results"):
        pb.load(tmp_path / "nowhere")


def test_results_of_other_rules_are_shown_and_not_ranked():
    results = pb.run(
        datasets="mnist", classifiers="small", zoo=ZOO, defenses="none", references="none", threats="graybox",
        protocol="as-released", attacks="fgsm_released", eps=0.1, n=20, latency=False, progress=False,
    )  # fmt: skip
    assert results.headline().empty
    assert "fgsm_released" in repr(results)


@pytest.mark.parametrize(
    ("given", "options", "said"),
    [
        ("caee", {}, "did you mean 'cae'"),
        (halved, {"name": "median"}, "there is a defense 'median' already"),
        (7, {}, "not 7"),
        (nn.Identity, {}, "Identity is a class: give an object"),
        ("none", {"threats": "greybox"}, "unknown threat in the arguments: 'greybox'"),
        ("none", {"eps": -1}, "eps in the arguments must be"),
        ("none", {"n": 0}, "n in the arguments must be a whole number of at least 1, not 0"),
        ("none", {"nn": 3}, "unknown configuration key in the arguments: 'nn'"),
    ],
)
def test_what_cannot_be_used_is_named(given, options, said):
    with pytest.raises(pb.UserError, match=said):
        pb.evaluate(given, **{**SHAPES, **FEW, **options})


def test_what_a_plan_leaves_out_is_a_warning():
    with pytest.warns(UserWarning, match="is judged without whitebox") as said:
        pb.evaluate("binarize", **SHAPES, **FEW)
    assert {Path(each.filename).name for each in said} == {"test_api.py"}


def test_a_function_that_fails_is_a_warning_too():
    def broken(x):
        raise KeyError("weights")

    with pytest.warns(UserWarning, match=r"cells failed: broken: KeyError: 'weights' \(test_api.py, line \d+\)"):
        result = pb.evaluate(broken, **SHAPES, **FEW)
    assert set(result.frame().status) == {"error"}


def test_a_function_is_defended_like_a_defense(mnist):
    (x, _), _ = mnist
    model = pb.defended(lambda x: x.round(), "mnist", "small", "bpda", zoo=ZOO)
    assert torch.allclose(model(x[:4]), pb.load_classifier("small", zoo=ZOO)(x[:4].round()), atol=1e-4)


@pytest.mark.parametrize("gradient", [None, "bpda"])
def test_any_library_attacks_a_defense_without_a_gradient(gradient, mnist):
    (x, y), _ = mnist
    model = pb.defended("binarize", "mnist", "small", gradient, zoo=ZOO)
    _broken_by_two_libraries(model, x[:20], y[:20])


def test_a_bare_defended_classifier_follows_the_surrogate_too(mnist):
    (x, y), classifier = mnist
    binarize = pb.load_defense("binarize")
    model = pb.DefendedClassifier(classifier, binarize)
    assert torch.equal(model(x[:20].requires_grad_()), classifier(binarize.purify(x[:20])))
    _broken_by_two_libraries(model, x[:20].detach(), y[:20])


def _broken_by_two_libraries(model, x, y):
    right = (model(x).argmax(1) == y).float().mean()
    theirs = torchattacks.PGD(model, eps=0.6, alpha=0.1, steps=20)(x, y)
    others = foolbox.attacks.LinfPGD(steps=20)(foolbox.PyTorchModel(model, (0, 1)), x, y, epsilons=[0.6])[1][0]
    for x_adv in (theirs, others):
        assert (model(x_adv).argmax(1) == y).float().mean() < right - 0.3


def test_which_gradient_a_defended_classifier_follows(mnist):
    (x, _), _ = mnist
    gradients = {}
    for word in ("true", "bpda"):
        images = x[:2].clone().requires_grad_()
        pb.defended(pb.load_defense("cae"), "mnist", "small", word, zoo=ZOO)(images).sum().backward()
        gradients[word] = images.grad
    assert not torch.allclose(gradients["true"], gradients["bpda"])
    with pytest.raises(pb.UserError, match="declares that it has no useful gradient"):
        pb.defended("binarize", gradient="true")
    with pytest.raises(pb.UserError, match=r"unknown gradient 'exact'\. Valid: bpda, fixed-seed, soft, true, whitebox"):
        pb.defended("cae", gradient="exact")


def test_a_cell_of_a_notebook_may_be_run_again():
    def cell():
        made = type("Again", (), {"purify": lambda self, x: x, "__module__": "__main__", "__qualname__": "Again"})
        return DEFENSES.register("again")(made)

    try:
        first, second = cell(), cell()
        assert DEFENSES.get("again").plain is second is not first
    finally:
        DEFENSES._registered.pop("again")
        DEFENSES._classes.pop("again")


def test_code_that_has_no_file_has_a_digest():
    scope, other = {"__name__": "__main__"}, {"__name__": "__main__"}
    exec("class A:\n    def purify(self, x):\n        return x * 2\n", scope)
    exec("class A:\n    def purify(self, x):\n        return x * 3\n", other)
    assert sources.digest_of_code(scope["A"]) != sources.digest_of_code(other["A"])
    assert sources.digest_of_code(scope["A"]) == sources.digest_of_code(scope["A"]())


def test_progress_is_shown_where_there_is_a_terminal_or_where_it_is_asked_for(monkeypatch, capsys):
    few = {**SHAPES, **FEW, "threats": "graybox"}
    pb.evaluate("none", **{**few, "progress": None})
    assert capsys.readouterr().out == ""
    pb.evaluate("none", **{**few, "progress": True})
    assert "1/3" in capsys.readouterr().out
    screen = Console(file=io.StringIO(), force_terminal=True)
    monkeypatch.setattr(evaluating, "Console", lambda: screen)
    pb.evaluate("none", **{**few, "progress": None})
    assert "cells" in screen.file.getvalue()
    assert console.has_bars(screen)


def test_the_examples_of_the_docstrings_run():
    with pd.option_context("display.width", 200):
        ran = [doctest.testmod(module) for module in (evaluating, models)]
    assert [each.failed for each in ran] == [0, 0]
    assert sum(each.attempted for each in ran) >= 8
