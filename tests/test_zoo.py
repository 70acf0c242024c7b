"""The shipped weights: whole, documented, and as good as they say."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from purification_bench.benchmark import cli
from purification_bench.benchmark.assets import weight_files, zoo
from purification_bench.benchmark.assets.loading import load_classifier, load_defense
from purification_bench.benchmark.assets.zoo import file_digest
from purification_bench.benchmark.facts import of_defense
from purification_bench.benchmark.paths import SHIPPED_ZOO
from purification_bench.benchmark.registries import CLASSIFIERS, DATASETS, DEFENSES
from purification_bench.defenses.errors import UserError

SHIPPED = list(zoo.entries([SHIPPED_ZOO]))
CPU = torch.device("cpu")
ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("leaderboard/**/*.md")])
TRAINS = re.compile(
    r"(?<=`)bench\s+train\s+(?:classifier|defense)\s[^`]*(?=`)|^bench train (?:.*\\\n)*.*$", re.MULTILINE
)
"""Training commands: within a line's backticks, or on lines of their own, which may be continued."""
FACTS = {
    **dict.fromkeys(("name", "label"), "x"),
    **dict.fromkeys(("command", "date"), ""),
    **{fact: {} for fact in ("options", "validation", "versions")},
    **dict.fromkeys(("epochs", "train_images"), 1),
    "kind": "classifier",
    "dataset": "d",
    "classifier": None,
    "seed": 0,
}


def test_the_manifest_names_every_file_and_no_other():
    assert {w.file for w in SHIPPED} == {path.name for path in SHIPPED_ZOO.glob("*.safetensors*")}


@pytest.mark.parametrize("weights", SHIPPED, ids=lambda w: w.file)
def test_shipped_weights_are_what_the_manifest_says(weights):
    assert file_digest(weights.path) == weights.sha256
    assert set(weights.validation) & {"accuracy", "rebuilt_mse", "error"}
    assert weights.path.stat().st_size < 6 * 2**20


@pytest.mark.parametrize("weights", SHIPPED, ids=lambda w: w.file)
def test_the_command_in_the_manifest_trains_just_these_weights(weights):
    args = cli.build_parser()[0].parse_args(shlex.split(weights.command)[1:])
    assert (args.command, args.kind, args.dataset) == ("train", weights.kind, weights.dataset)
    assert weights.classifier in (None, args.classifier)
    spec = CLASSIFIERS.spec(args.name) if args.kind == "classifier" else of_defense(args.name).training
    assert (spec.label, dict(spec.options)) == (weights.label, dict(weights.options))


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_training_command_on_a_page_can_be_read(page):
    for command in TRAINS.findall(page.read_text()):
        args = cli.build_parser()[0].parse_args(shlex.split(command.replace("\\\n", " "))[1:])
        registry = CLASSIFIERS if args.kind == "classifier" else DEFENSES
        if args.plugin:
            continue  # what it trains is in its plug-in
        assert args.name == "NAME" or registry.spec(args.name)


@pytest.mark.parametrize("weights", SHIPPED, ids=lambda w: w.file)
def test_shipped_weights_load(weights):
    dataset = DATASETS.create(weights.dataset)
    if weights.kind == "classifier":
        load_classifier(CLASSIFIERS.spec(weights.label), dataset, CPU, [SHIPPED_ZOO])
    else:
        load_defense(
            DEFENSES.spec(weights.label), dataset, CLASSIFIERS.spec(weights.classifier or "model_a"), CPU, [SHIPPED_ZOO]
        )


@pytest.mark.parametrize(("dataset", "least"), [("mnist", 0.99), ("fashion_mnist", 0.915)])
def test_model_a_is_accurate_on_test_images(dataset, least):
    from purification_bench.benchmark.train.fitting import evaluate_accuracy

    made = DATASETS.create(dataset)
    classifier, _ = load_classifier(CLASSIFIERS.spec("model_a"), made, CPU, [SHIPPED_ZOO])
    assert evaluate_accuracy(classifier, made.judged(2500), CPU) >= least


def test_weights_that_are_not_there_say_what_is_and_how_to_train_them():
    with pytest.raises(UserError) as caught:
        zoo.find([SHIPPED_ZOO], "defense", DEFENSES.spec("cae[latent_dim=7]"), "mnist", "model_a")
    assert "there are cae, cae[against=pgd,eps=0.15" in str(caught.value)
    command = "bench train defense 'cae[latent_dim=7]' --dataset mnist --classifier model_a"
    assert str(caught.value).endswith(f"Train them: {command}")


def test_a_new_training_replaces_the_entry_of_the_same_identity(tmp_path):
    model = torch.nn.Linear(2, 2)
    zoo.add(tmp_path, model, **FACTS)
    zoo.add(tmp_path, model, **{**FACTS, "seed": 1})
    zoo.add(tmp_path, model, **{**FACTS, "dataset": "e"})
    assert [(w.dataset, w.seed) for w in zoo.entries([tmp_path])] == [("d", 1), ("e", 0)]


def test_half_precision_halves_the_file_and_loads_as_float32(tmp_path):
    model, loaded = torch.nn.Linear(50, 50), torch.nn.Linear(50, 50)
    whole = zoo.add(tmp_path, model, **FACTS).path.stat().st_size
    stored = zoo.add(tmp_path, model, storage="half", **FACTS)
    assert stored.path.stat().st_size < 0.6 * whole
    zoo.load_into(loaded, stored)
    assert loaded.weight.dtype == torch.float32
    assert torch.equal(loaded.weight, model.weight.half().float())


def test_integers_are_within_half_a_step_of_each_channels_largest_weight(tmp_path):
    torch.manual_seed(0)
    model, loaded = torch.nn.Linear(50, 4), torch.nn.Linear(50, 4)
    with torch.no_grad():
        model.weight *= torch.tensor([1.0, 10.0, 0.1, 0.0])[:, None]
    stored = zoo.add(tmp_path, model, storage="int8", **FACTS)
    assert stored.file.endswith(".safetensors.xz")
    zoo.load_into(loaded, stored)
    step = model.weight.abs().amax(dim=1) / 127
    assert ((loaded.weight - model.weight).abs().amax(dim=1) <= step / 2 + 1e-9).all()
    assert torch.equal(loaded.weight[3], torch.zeros(50)) and torch.equal(loaded.bias, model.bias)


def test_what_is_stored_is_stored_again_as_it_is():
    state = {"weight": torch.randn(8, 20), "bias": torch.randn(8), "steps": torch.tensor(3)}
    once = weight_files.decode(weight_files.encode(state, "int8"))
    twice = weight_files.decode(weight_files.encode(once, "int8"))
    assert all(torch.allclose(once[name], twice[name], rtol=1e-6, atol=0) for name in state)
    assert torch.equal(once["steps"], state["steps"])


def test_a_damaged_compressed_file_is_refused(tmp_path):
    stored = zoo.add(tmp_path, torch.nn.Linear(2, 2), storage="int8", **FACTS)
    stored.path.write_bytes(stored.path.read_bytes()[:40])
    cut = replace(stored, sha256=file_digest(stored.path))
    with pytest.raises(UserError, match="does not fit"):
        zoo.load_into(torch.nn.Linear(2, 2), cut)


def test_options_that_differ_in_a_sign_have_files_of_their_own(tmp_path):
    made = [zoo.add(tmp_path, torch.nn.Linear(2, 2), **{**FACTS, "options": {"shift": shift}}) for shift in (-1, 1)]
    assert made[0].file != made[1].file
    assert all(file_digest(w.path) == w.sha256 for w in made)


def test_a_broken_manifest_is_refused(tmp_path):
    (tmp_path / "manifest.json").write_text('[{"kind": "classifier"}]')
    with pytest.raises(UserError, match="cannot be read"):
        list(zoo.entries([tmp_path]))


def test_weights_of_another_shape_are_refused(tmp_path):
    made = zoo.add(tmp_path, torch.nn.Linear(2, 2), **FACTS)
    with pytest.raises(UserError, match="does not fit"):
        zoo.load_into(torch.nn.Linear(3, 3), made)
