"""Training: resumable to the same weights, selected on validation, recorded in the manifest."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from conftest import SHAPES, needs_training_split
from make_training import make_training

from purification_bench.attacks.guard import distances
from purification_bench.benchmark.assets import zoo
from purification_bench.benchmark.assets.data import Images
from purification_bench.benchmark.assets.loading import load_classifier
from purification_bench.benchmark.assets.zoo import file_digest
from purification_bench.benchmark.paths import cache_dir
from purification_bench.benchmark.registries import CLASSIFIERS, DATASETS, DEFENSES
from purification_bench.benchmark.train.augmentation import shifted
from purification_bench.benchmark.train.context import Training
from purification_bench.benchmark.train.fitting import evaluate_accuracy
from purification_bench.benchmark.train.settings import Settings
from purification_bench.benchmark.train.training_sets import Target
from purification_bench.defenses import defensegan
from purification_bench.defenses.errors import UserError

CPU = torch.device("cpu")
ON_SHAPES = ("--plugin", SHAPES, "--dataset", "shapes", "--classifier", "matched", "--zoo", "zoo")


def short_run(folder, attack):
    """Words of a run of one attack of one size, without reference rows."""
    (folder / "alone.toml").write_text("references = []\n")
    return ("--attacks", attack, "--eps", "0.1", "-n", "8", "--no-latency", "--config", "alone.toml")


@pytest.fixture
def cae():
    def make(seed=0):
        torch.manual_seed(seed)
        defense = DEFENSES.create("cae[eps=0.3,latent_dim=4]")
        defense.build((3, 32, 32), 4)
        return defense

    return make


def weights_of(model):
    return torch.cat([value.flatten().float() for value in model.state_dict().values()])


def test_the_cae_learns(shapes, cae):
    training, defense = make_training(shapes, epochs=8), cae()
    defense.fit(training)
    assert training.best["mse"] < training.progress.history[0]["mse"]


def test_an_interrupted_training_ends_with_the_same_weights(shapes, cae):
    whole = cae()
    whole.fit(make_training(shapes, epochs=4, seed=1))
    make_training(shapes, epochs=4, seed=1).progress.discard()

    class StoppedError(Exception):
        pass

    interrupted, cut = make_training(shapes, epochs=4, seed=1), cae()
    reported = interrupted.report

    def stop_in_the_third_epoch(score, **metrics):
        if len(interrupted.progress.history) == 2:
            raise StoppedError
        reported(score, **metrics)

    interrupted.report = stop_in_the_third_epoch
    with pytest.raises(StoppedError):
        cut.fit(interrupted)
    resumed = cae(seed=99)
    resumed.fit(make_training(shapes, epochs=4, seed=1))
    assert torch.equal(weights_of(resumed), weights_of(whole))


def test_the_best_epoch_is_kept_and_patience_ends_the_training(shapes):
    model = torch.nn.Linear(1, 1)
    training = make_training(shapes, epochs=20, patience=2)
    seen = []
    for epoch in training.epochs(model=model):
        with torch.no_grad():
            model.weight.fill_(epoch)
        training.report([0.1, 0.5, 0.3, 0.4, 0.9][epoch])
        seen.append(epoch)
    assert seen == [0, 1, 2, 3]
    assert model.weight.item() == 1
    assert training.best["score"] == 0.5


def test_adversarial_training_images_are_made_once_and_reused(shapes):
    first = make_training(shapes).adversarial("fgsm", 0.2, "train")
    images, _ = shapes
    assert float(distances("linf", images.x, first).max()) == pytest.approx(0.2, abs=1e-6)
    again = make_training(shapes)
    again._sets._attack = None  # a second making would call it
    assert torch.equal(again.adversarial("fgsm", 0.2, "train"), first)


def test_an_attack_that_measures_nothing_trains_nothing(shapes):
    with pytest.raises(UserError, match="reach"):
        make_training(shapes).adversarial("pgd[alpha=0.0001]", 0.3, "train")


def test_another_dataset_or_classifier_has_adversarial_images_of_its_own(shapes, tmp_path):
    images, classifier = shapes
    first = make_training(shapes).adversarial("noise", 0.2, "train")
    flipped = {"train": Images(images.x.flip(0), images.y.flip(0))}
    other = Training(tmp_path, flipped, Settings(1, 16), CPU, Target(classifier, "weights", "another key"))
    assert float(distances("linf", images.x.flip(0), other.adversarial("noise", 0.2, "train")).max()) <= 0.2 + 1e-6
    assert not torch.equal(other.adversarial("noise", 0.2, "train"), first)


def test_a_fit_that_reports_nothing_is_told(shapes):
    model = torch.nn.Linear(1, 1)
    with pytest.raises(UserError, match=r"must call context.report"):
        for _ in make_training(shapes).epochs(model=model):
            pass


def test_a_class_with_a_loop_of_its_own_is_trained_as_it_declares_and_loaded(bench, tmp_path):
    (tmp_path / "own.py").write_text(
        "import torch\nfrom purification_bench import Defense, register_defense\n\n@register_defense('own')\n"
        "class Own(Defense):\n    training_knowledge, epochs, batch_size = 'clean', 7, 15\n"
        "    def build(self, shape, num_classes):\n        self.shift = torch.nn.Parameter(torch.zeros(1))\n"
        "    def purify(self, x):\n        return (x + self.shift).clamp(0, 1)\n"
        "    def fit(self, context):\n        self.shift.data.fill_(context.images('train').mean())\n"
    )
    words = ("--plugin", "own.py", *ON_SHAPES)
    assert bench("train", "defense", "own", *words)[0] == 0
    (entry,) = zoo.entries([tmp_path / "zoo"])
    assert " --epochs 7 --batch-size 15 " in entry.command
    assert bench("run", *words, *short_run(tmp_path, "noise"), "--defenses", "own")[0] == 0


@pytest.mark.parametrize(
    ("declared", "flags", "said"),
    [
        ("epochs = 0", (), "Own declares epochs = 0: it must be a whole number, at least 1"),
        ("batch_size = 2.5", (), "Own declares batch_size = 2.5: it must be a whole number, at least 1"),
        ("batch_size = 'all'", (), "Own declares batch_size = 'all': it must be a whole number, at least 1"),
        (
            "batch_size = 1000",
            (),
            "a batch of 1000 exceeds the 180 training images: give a --batch-size of as many at most",
        ),
        ("epochs = 1", ("--limit", "181"), "--limit 181 exceeds the 180 training images of shapes"),
    ],
)
def test_a_training_that_cannot_be_is_refused_in_a_line(declared, flags, said, bench, tmp_path):
    name = re.sub(r"\W+", "_", declared)
    (tmp_path / "own.py").write_text(
        f"from purification_bench import Defense, register_defense\n\n@register_defense('{name}')\n"
        f"class Own(Defense):\n    training_knowledge = 'clean'\n    {declared}\n"
        "    def purify(self, x):\n        return x\n    def fit(self, context):\n        pass\n"
    )
    status, _, err = bench("train", "defense", name, "--plugin", "own.py", *ON_SHAPES, *flags)
    assert (status, err) == (2, f"bench: {said}\n")


def test_batches_cover_the_training_part_in_an_order_of_their_own(shapes):
    training = make_training(shapes)
    epoch = torch.cat(list(training.batches()))
    assert sorted(epoch.tolist()) == list(range(40))
    training._epoch = 1
    assert not torch.equal(torch.cat(list(training.batches())), epoch)


def test_augmentation_shifts_and_keeps_shape():
    torch.manual_seed(0)
    x = torch.rand(50, 3, 8, 6)
    moved = shifted(x, 2)
    assert moved.shape == x.shape
    inner = moved[:, :, 2:-2, 2:-2]
    matches = [torch.equal(moved[i], x[i]) for i in range(50)]
    assert 0 < sum(matches) < 15
    windows = x.unfold(2, 4, 1).unfold(3, 2, 1)
    is_a_window = (windows == inner[:, :, None, None]).flatten(4).all(dim=4).all(dim=1).flatten(1).any(dim=1)
    assert bool(is_a_window.all())


def test_bench_train_defense_puts_weights_into_the_zoo_that_bench_run_finds(bench, tmp_path):
    few = ("--epochs", "1", "--batch-size", "32")
    status, out, _ = bench("train", "defense", "cae[latent_dim=4,eps=0.3]", *ON_SHAPES, *few)
    assert status == 0
    assert "epoch 1 kept, validation accuracy" in out
    (entry,) = zoo.entries([tmp_path / "zoo"])
    assert entry.sha256 == file_digest(entry.path)
    name = "'cae[against=fgsm,eps=0.3,latent_dim=4,noise=1.0]'"
    assert entry.command.startswith(f"bench train defense {name} --dataset shapes --classifier matched --epochs 1 ")
    assert bench("run", *ON_SHAPES, *short_run(tmp_path, "fgsm"), "--defenses", "cae[latent_dim=4,eps=0.3]")[0] == 0


def short_training(what):
    """Words of a training of two short epochs on real images."""
    return ("train", *what, "--limit", "60", "--validation", "10", "--epochs", "2", "--batch-size", "60")


@pytest.fixture
def digest(bench, tmp_path, monkeypatch):
    """Train with a cache and a zoo of that name; return the digest of the weights."""

    def digest(name, words):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / name))
        status, out, err = bench(*words, "--zoo", tmp_path / name / "zoo")
        assert status == 0, err
        assert "kept" in out
        assert ("resumed after epoch" in out) == (name == "cut")
        (weights,) = (tmp_path / name / "zoo").glob("*.safetensors")
        return file_digest(weights)

    return digest


@needs_training_split
def test_killed_in_the_middle_bench_train_ends_with_the_same_weights(digest, tmp_path):
    """Killed with SIGKILL after the first epoch."""
    words = short_training(("classifier", "model_a"))
    command = [sys.executable, "-m", "purification_bench.benchmark.cli", *words, "--zoo", str(tmp_path / "cut" / "zoo")]
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cut")}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    while not list(Path(tmp_path / "cut").rglob("state.pt")) and process.poll() is None:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not list((tmp_path / "cut" / "zoo").iterdir()), "the training was not killed in the middle"
    assert digest("cut", words) == digest("whole", words)


@needs_training_split
@pytest.mark.parametrize("name", ["defensegan", "puvae"])
def test_stopped_in_the_second_epoch_a_defense_ends_with_the_same_weights(name, bench, digest, tmp_path, monkeypatch):
    """What has a critic, optimizers and averages of its own, on real images."""
    words = short_training(("defense", name))
    report = Training.report

    def stopped(training, score, **metrics):
        if training.progress.history:
            raise KeyboardInterrupt
        report(training, score, **metrics)

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cut"))
    monkeypatch.setattr(Training, "report", stopped)
    monkeypatch.setattr(defensegan, "VALIDATION_IMAGES", 2)
    assert bench(*words, "--zoo", tmp_path / "cut" / "zoo")[0] == 130
    monkeypatch.setattr(Training, "report", report)
    assert digest("cut", words) == digest("whole", words)


def test_a_defense_that_sees_no_classifier_serves_every_classifier(bench, tmp_path, monkeypatch):
    monkeypatch.setattr(defensegan, "VALIDATION_IMAGES", 2)
    words = ("--dataset", "shapes", "--plugin", SHAPES, "--epochs", "1", "--batch-size", "90", "--zoo", "zoo", "--half")
    assert bench("train", "defense", "defensegan", *words)[0] == 0
    (entry,) = zoo.entries([tmp_path / "zoo"])
    assert entry.classifier is None
    assert entry.options == {}
    assert entry.command == (
        "bench train defense defensegan --dataset shapes --epochs 1 --batch-size 90 --seed 0 --precision float32 --half"
    )
    defenses = ("--defenses", "defensegan[steps=2,restarts=2],defensegan[steps=3,restarts=1]")
    assert bench("run", *ON_SHAPES, *short_run(tmp_path, "noise"), *defenses)[0] == 0


def test_a_classifier_is_scored_as_it_is_stored(bench, tmp_path):
    words = ("--dataset", "shapes", "--plugin", SHAPES, "--epochs", "2", "--batch-size", "90", "--zoo", "zoo")
    status, _, err = bench("train", "classifier", "model_a", *words, "--validation", "20", "--int8")
    assert status == 0, err
    (entry,) = zoo.entries([tmp_path / "zoo"])
    assert entry.command.endswith("--validation 20 --precision float32 --int8")
    dataset = DATASETS.create("shapes")
    model, _ = load_classifier(CLASSIFIERS.spec("model_a"), dataset, CPU, [tmp_path / "zoo"])
    held_out = dataset.training_split("validation")
    first = Images(held_out.x[:20], held_out.y[:20])
    assert evaluate_accuracy(model, first, CPU) == pytest.approx(entry.validation["accuracy"], abs=1e-6)


def test_a_training_that_is_stopped_goes_on(bench, tmp_path):
    train = ("train", "defense", "cae[eps=0.3]", *ON_SHAPES, "--epochs", "3")
    status, out, err = bench(*train, "--stop-after", "1")
    assert status == 0, err
    (entry,) = zoo.entries([tmp_path / "zoo"])
    assert entry.command.endswith("--stop-after 1") and entry.epochs == 1
    status, out, _ = bench(*train, "--stop-after", "2")
    assert status == 0 and "resumed after epoch 1 of 3" in out
    status, _, err = bench(*train, "--stop-after", "1")
    assert (status, err) == (2, "bench: --stop-after 1 comes too late: epoch 2 of this training is over\n")
    assert bench(*train)[0] == 0
    (entry,) = zoo.entries([tmp_path / "zoo"])
    assert "--stop-after" not in entry.command
    assert bench(*train, "--stop-after", "3")[0] == 0
    assert not list((cache_dir() / "training").glob("cae-shapes-*/state.pt")), "a training that is over keeps no state"


def test_a_defense_starts_from_what_it_is_before_another_classifier(bench, tmp_path):
    words = ("--plugin", SHAPES, "--dataset", "shapes", "--zoo", "zoo", "--epochs", "1")
    assert bench("train", "classifier", "model_a", *words)[0] == 0
    train = ("train", "defense", "cae[eps=0.3]", *words, "--classifier", "model_a")
    status, _, err = bench(*train, "--start-from", "matched")
    assert status == 2 and "no weights for defense 'cae[eps=0.3]' on shapes against matched" in err
    assert bench("train", "defense", "cae[eps=0.3]", *words, "--classifier", "matched")[0] == 0
    errors = []
    for more in (), ("--start-from", "matched"):
        assert bench(*train, *more)[0] == 0
        (entry,) = (entry for entry in zoo.entries([tmp_path / "zoo"]) if entry.classifier == "model_a" != entry.name)
        assert entry.command.endswith(" ".join(more))
        errors.append(entry.validation["mse"])
    assert errors[1] < errors[0], "two epochs rebuild images better than one"
    status, _, err = bench("train", "classifier", "model_a", *words, "--start-from", "matched")
    assert (status, err) == (2, "bench: --start-from is for defenses, and 'model_a' is a classifier\n")


def test_the_adversary_of_training_is_as_strong_as_asked(bench, tmp_path):
    train = ("train", "classifier", "model_a_at[eps=0.1]", "--dataset", "shapes", "--plugin", SHAPES, "--epochs", "1")
    train += ("--limit", "64", "--validation", "16", "--batch-size", "16", "--zoo", "zoo")
    seen = []
    for more in (), ("--adversary-steps", "1"):
        status, _, err = bench(*train, *more)
        assert status == 0, err
        (entry,) = zoo.entries([tmp_path / "zoo"])
        assert ("--adversary-steps 1" in entry.command) == bool(more)
        seen.append(entry.sha256)
    assert seen[0] != seen[1]
    plain = ("train", "classifier", "model_a", *train[3:])
    status, _, err = bench(*plain, "--adversary-steps", "2")
    assert status == 2 and "trained on clean images" in err
    status, _, err = bench("train", "defense", "cae", "--adversary-steps", "2")
    assert (status, err) == (2, "bench: --adversary-steps is of a classifier's adversarial training, not of cae\n")


def test_what_decides_the_first_weights_is_what_it_was():
    """Every shipped file's command starts from weights that are keyed by these settings."""
    counts = {"epochs": 1, "batch_size": 2}
    defaults = {"seed": 0, "patience": None, "limit": None, "precision": "float32"}
    assert Settings(**counts).recipe == {**counts, **defaults}


def test_a_dataset_is_trained_on_as_it_is_published(bench):
    status, _, err = bench("train", "classifier", "model_a", "--dataset", "mnist[pixels=32]")
    assert status == 2
    assert err == "bench: bench train takes a dataset as it is published: mnist, not mnist[pixels=32]\n"


def test_a_defense_is_scored_as_it_is_stored(shapes, cae):
    training, defense = make_training(shapes, epochs=2, storage="int8"), cae()
    scored = []
    report = training.report
    training.report = lambda score, **metrics: (scored.append(weights_of(defense)), report(score, **metrics))
    purify = defense.purify
    defense.purify = lambda x: (defense.training or scored.append(weights_of(defense)), purify(x))[1]
    defense.fit(training)
    rounded, exact = scored[:2]
    assert not torch.equal(rounded, exact) and torch.allclose(rounded, exact, atol=0.05)


def test_a_file_is_stored_in_one_way(bench):
    status, _, err = bench("train", "classifier", "model_a", "--half", "--int8")
    assert status == 2 and "not allowed with" in err and err.count("\n") == 1


def test_options_of_use_are_no_matter_of_training(bench):
    status, _, err = bench("train", "defense", "defensegan[steps=20]")
    assert status == 2
    assert err == "bench: option 'steps' of 'defensegan' changes nothing in training: give it to bench run\n"


def test_snapshots_must_be_epochs(bench):
    status, _, err = bench("train", "defense", "defensegan", "--snapshots", "5,last")
    assert status == 2
    assert err == "bench: --snapshots takes epochs, numbers from 1 on, not 'last'\n"


def test_a_model_in_training_meets_other_random_starts_in_each_batch_and_the_same_when_it_is_resumed(shapes):
    images, classifier = shapes

    def attacked(epoch, times):
        training = make_training(shapes)
        training._open_epoch(epoch)
        return [training.attacked(classifier, "noise", 0.1, images.x[:4], images.y[:4]) for _ in range(times)]

    (first, second), (resumed, _), (later,) = attacked(1, 2), attacked(1, 2), attacked(2, 1)
    assert not torch.equal(first, second) and not torch.equal(first, later)
    assert torch.equal(first, resumed)
