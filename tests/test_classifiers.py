"""The target classifiers are the papers'."""

from __future__ import annotations

import copy
import dataclasses
import re
import sys

import pytest
import torch
import torchvision
from torch import nn

from purification_bench.benchmark.assets.data import Images
from purification_bench.benchmark.registries import CLASSIFIERS
from purification_bench.benchmark.train.context import Training
from purification_bench.benchmark.train.fitting import fit_classifier
from purification_bench.benchmark.train.pruning import Pruning
from purification_bench.benchmark.train.settings import Settings
from purification_bench.defenses.errors import UserError


def multiply_adds(model, shape) -> int:
    """Count the multiply-adds of one forward pass through convolutions and linear layers."""
    total = 0

    def count(module, _, output):
        nonlocal total
        weights = module.weight[0].numel()
        total += weights * output[0].numel()

    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(count)
    with torch.no_grad():
        model.eval()(torch.zeros(1, *shape))
    return total


def test_model_a_is_the_literatures():
    """About 17 M multiply-adds: conv 64 5x5 same, conv 64 5x5 stride 2 valid, dense 128, dense 10."""
    model = CLASSIFIERS.create("model_a", (1, 28, 28), 10)
    assert multiply_adds(model, (1, 28, 28)) == pytest.approx(17e6, rel=0.05)
    assert sum(p.numel() for p in model.parameters()) == 64 * 26 + 64 * (64 * 25 + 1) + 128 * (64 * 144 + 1) + 10 * 129


def test_vgg16_is_thirteen_convolutions_and_a_linear_head():
    model = CLASSIFIERS.create("vgg16", (1, 28, 28), 10)
    convolutions = [m for m in model.modules() if isinstance(m, nn.Conv2d)]
    assert [c.out_channels for c in convolutions] == [64, 64, 128, 128, 256, 256, 256, *[512] * 6]
    assert [tuple(m.weight.shape) for m in model.modules() if isinstance(m, nn.Linear)] == [(10, 512)]


def test_resnet18_is_that_of_small_images():
    """11.2 million weights, .56 billion multiply-adds: at 32 pixels a side, the stem does not shrink."""
    model = CLASSIFIERS.create("resnet18", (3, 32, 32), 10)
    assert sum(p.numel() for p in model.parameters()) == pytest.approx(11.17e6, rel=0.002)
    assert multiply_adds(model, (3, 32, 32)) == pytest.approx(0.556e9, rel=0.01)


@pytest.mark.parametrize("name", ["model_a", "vgg16", "conv8", "resnet18"])
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32)])
def test_any_shape_and_number_of_classes(name, shape):
    model = CLASSIFIERS.create(name, shape, 7).eval()
    assert model(torch.rand(2, *shape)).shape == (2, 7)


@pytest.mark.parametrize(
    ("name", "precision"),
    [
        *((name, precision) for name in ("model_a", "model_a_at[eps=0.1]") for precision in ("float32", "bfloat16")),
        ("conv8", "float32"),
    ],
)
def test_it_trains(name, precision, tmp_path):
    torch.manual_seed(0)
    model = CLASSIFIERS.create(name, (1, 12, 12), 2)
    y = torch.arange(16) % 2
    data = Images(torch.rand(16, 1, 12, 12) * 0.2 + 0.6 * y[:, None, None, None], y)
    few = Images(data.x[:2], data.y[:2])
    settings = Settings(epochs=4, batch_size=8, precision=precision)
    training = Training(tmp_path, {"train": data, "validation": few}, settings, torch.device("cpu"))
    fit_classifier(model, training)
    losses = [epoch["loss"] for epoch in training.progress.history]
    assert losses[-1] < losses[0]


def test_batch_norm_trains_in_bfloat16(tmp_path):
    """One step: processors that have no bfloat16 of their own take seconds for each."""
    torch.manual_seed(0)
    model = CLASSIFIERS.create("vgg16", (1, 28, 28), 2)
    first, y = copy.deepcopy(model.state_dict()), torch.arange(8) % 2
    data, few = (Images(torch.rand(n, 1, 28, 28), y[:n]) for n in (8, 2))
    settings = Settings(epochs=1, batch_size=8, precision="bfloat16")
    sparse = dataclasses.replace(model.recipe, sparsity=0.0)
    training = Training(tmp_path, {"train": data, "validation": few}, settings, torch.device("cpu"))
    model.recipe = sparse
    fit_classifier(model, training)
    assert all(value.isfinite().all() for value in model.state_dict().values())
    for name in ("features.0.weight", "features.1.running_var", "features.40.weight", "head.weight"):
        assert not torch.equal(model.state_dict()[name], first[name]), name


def test_a_student_learns_what_its_teacher_answers_hot(tmp_path):
    """One step of a batch, against the cross-entropy of the softened answers written out."""
    torch.manual_seed(0)
    teacher, student = (
        CLASSIFIERS.create(f"{name}[temperature=5]", (1, 12, 12), 3) for name in ("model_a_hot", "model_a_distilled")
    )
    assert student.teacher == "model_a_hot[temperature=5.0]"
    data = Images(torch.rand(8, 1, 12, 12), torch.arange(8) % 3)
    seen, step = [], student.forward
    student.forward = lambda x: seen.append((x, step(x))) or seen[-1][1]
    training = Training(tmp_path, {"train": data, "validation": data}, Settings(1, 8), torch.device("cpu"))
    fit_classifier(student, training, teacher.eval())
    x, logits = seen[0]
    wanted = (teacher(x) / 5).softmax(dim=1)
    expected = -(wanted * (logits / 5).log_softmax(dim=1)).sum(dim=1).mean()
    assert training.progress.history[0]["loss"] == pytest.approx(expected.item(), rel=1e-5)


ZOO = """
from enum import Enum
Dataset = Enum("Dataset", {"cifar_10": "cifar10", "cifar_100": "cifar100"})
Threat = Enum("Threat", {"Linf": "Linf", "L2": "L2"})
model_dicts = {Dataset.cifar_10: {Threat.Linf: {"Standard": {}, "Carmon2019Unlabeled": {}}, Threat.L2: {}}}
"""
UTILS = """
import torch
def load_model(name, folder, dataset, threat):
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3072, 10))
    model.asked = (name, folder, dataset, threat)
    return model
"""


@pytest.fixture
def robustbench(tmp_path, monkeypatch):
    """A package that answers as RobustBench does."""
    (tmp_path / "robustbench").mkdir()
    for name, text in (("__init__", ""), ("model_zoo", ZOO), ("utils", UTILS)):
        (tmp_path / "robustbench" / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "robustbench"]:
        del sys.modules[name]


def test_robustbenchs_classifiers_are_asked_for_by_their_names(robustbench):
    model = CLASSIFIERS.create("robustbench[model=Carmon2019Unlabeled]", (3, 32, 32), 10)
    name, folder, *others = model.network.asked
    assert (name, others) == ("Carmon2019Unlabeled", ["cifar10", "Linf"]) and folder.name == "robustbench"
    assert not CLASSIFIERS.get("robustbench").trained
    assert model(torch.rand(2, 3, 32, 32)).shape == (2, 10)


@pytest.mark.parametrize(
    ("options", "shape", "line"),
    [
        (
            "model=Carmon2019",
            (3, 32, 32),
            "unknown model 'Carmon2019'; did you mean 'Carmon2019Unlabeled'? Valid: Carm",
        ),
        ("threat=linf", (3, 32, 32), "unknown part of RobustBench's zoo: 'linf'; did you mean 'Linf'? Valid: L2, Linf"),
        (
            "threat=Linf",
            (1, 28, 28),
            "has classifiers of 3x32x32 images in 10 or 100 classes, not 10 of (1, 28, 28)",
        ),
    ],
)
def test_what_robustbench_has_not_is_told(options, shape, line, robustbench):
    with pytest.raises(UserError, match=re.escape(line)):
        CLASSIFIERS.create(f"robustbench[{options}]", shape, 10)


def test_without_robustbench_the_extra_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "robustbench", None)
    with pytest.raises(UserError, match=r"pip install 'purification-bench\[robustbench\]'"):
        CLASSIFIERS.create("robustbench", (3, 32, 32), 10)


def sparsity(model) -> float:
    weights = torch.cat([m.weight.flatten() for m in model.modules() if isinstance(m, nn.Conv2d)])
    return float((weights == 0).float().mean())


def test_pruning_grows_and_zeros_stay_zero():
    model = nn.Sequential(nn.Conv2d(1, 8, 3), nn.Conv2d(8, 8, 3))
    pruning = Pruning(model, 0.9, epochs=8)
    shares = []
    for epoch in range(8):
        pruning.begin(epoch)
        zeros = [m.weight == 0 for m in model]
        with torch.no_grad():
            for m in model:
                m.weight.add_(torch.randn_like(m.weight))
        pruning.apply()
        assert all(torch.equal(m.weight == 0, was) for m, was in zip(model, zeros, strict=True))
        shares.append(sparsity(model))
        assert shares[-1] == pytest.approx(pruning.share(epoch), abs=0.01)
    assert shares[0] == 0 and shares == sorted(shares) and shares[4] == pytest.approx(0.9, abs=0.01)
    assert [pruning.complete(epoch) for epoch in range(8)] == [False] * 4 + [True] * 4


def test_the_epoch_kept_is_pruned_to_the_end(tmp_path):
    torch.manual_seed(0)
    model = CLASSIFIERS.create("vgg16", (1, 28, 28), 2)
    y = torch.arange(8) % 2
    data = Images(torch.rand(8, 1, 28, 28), y)
    few = Images(data.x[:2], data.y[:2])
    settings = Settings(epochs=4, batch_size=8)
    training = Training(tmp_path, {"train": data, "validation": few}, settings, torch.device("cpu"))
    fit_classifier(model, training)
    assert sparsity(model) == pytest.approx(model.recipe.sparsity, abs=0.01)
    assert training.best["epoch"] >= 3


def test_too_few_epochs_to_prune_in_are_refused():
    with pytest.raises(UserError, match="leaves no epoch that is pruned to the end: give at least 2"):
        Pruning(nn.Conv2d(1, 8, 3), 0.9, epochs=1)


def test_a_classifier_without_convolutions_is_trained_too():
    pruning = Pruning(nn.Linear(2, 2), 0.0, epochs=1)
    pruning.begin(0)
    pruning.apply()
    assert pruning.complete(0)


@pytest.mark.parametrize("channels", [1, 3])
def test_imagenet_weights_are_taken_over(monkeypatch, channels):
    make, pretrained = torchvision.models.vgg16_bn, torchvision.models.vgg16_bn(weights=None)
    monkeypatch.setattr(torchvision.models, "vgg16_bn", lambda weights: pretrained if weights else make())
    model = CLASSIFIERS.create("vgg16[init=imagenet]", (channels, 32, 32), 10)
    assert not torch.equal(model.features[3].weight, pretrained.features[3].weight)
    model.initialise()
    first = model.features[0].weight.sum(dim=1)
    assert torch.allclose(first, pretrained.features[0].weight.sum(dim=1), atol=1e-5)
    assert torch.equal(model.features[3].weight, pretrained.features[3].weight)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_and_cpu_agree(mnist):
    images, model = mnist
    on_gpu = model.to("cuda")(images.x.to("cuda")).cpu()
    assert torch.allclose(on_gpu, model.to("cpu")(images.x), atol=1e-2)
