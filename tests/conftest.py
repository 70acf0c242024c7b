"""Fixtures: every test has its own cache directory, and a small dataset that needs no files."""

from __future__ import annotations

import os
from pathlib import Path

import matplotlib as mpl
import matplotlib.font_manager
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from purification_bench.benchmark import cli
from purification_bench.benchmark.assets.data import Images
from purification_bench.benchmark.assets.loading import load_classifier, load_defense
from purification_bench.benchmark.assets.zoo import MissingWeightsError
from purification_bench.benchmark.paths import SHIPPED_ZOO
from purification_bench.benchmark.registries import CLASSIFIERS, DATASETS, DEFENSES
from purification_bench.defenses.plugins import load_plugin

FONTS = mpl.get_cachedir()
PLUGINS = Path(__file__).parent / "plugins"
SHAPES = str(PLUGINS / "shapes.py")
SMALL = str(PLUGINS / "small.py")
ZOO = Path(__file__).parent / "zoo"
BROKEN = str(PLUGINS / "broken.py")

DOWNLOADED = {"ddpm_diffusers"}
"""Defenses that need a network that somebody else has trained: they have tests of their own."""

SHORT = {
    "defensegan": "defensegan[steps=8,restarts=2]",
    "abs": "abs[samples=50,steps=5]",
    "advpfy": "advpfy[maps=8,steps=2,restarts=2]",
}
"""What would take seconds an image, cut short."""

needs_training_split = pytest.mark.skipif(
    "BENCH_DATA" not in os.environ, reason="BENCH_DATA is not set: no training split"
)

load_plugin(SHAPES)
load_plugin(SMALL)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    """Keep the tests out of the user's cache; matplotlib's own, a list of the fonts there are, stays where it is."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setenv("MPLCONFIGDIR", FONTS)


@pytest.fixture(autouse=True)
def blank_pictures(request, monkeypatch):
    """Write pictures of one pixel: rendering takes a second a run. Tests that look at them are marked ``pictures``."""

    def blank(figure, target, **options):
        if options.get("format") == "png" or str(target).endswith(".png"):
            Image.new("RGB", (1, 1)).save(target, "png")
        else:
            Path(target).write_text("<svg/>")

    if request.node.get_closest_marker("pictures") is None:
        monkeypatch.setattr(Figure, "savefig", blank)


@pytest.fixture
def bench(tmp_path, monkeypatch, capsys):
    """Run a command line in an empty folder; returns (status, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)

    def call(*words: str | Path) -> tuple[int, str, str]:
        try:
            status = cli.main([str(word) for word in words])
        except SystemExit as stop:
            status = int(stop.code or 0)
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return call


def shipped_or_untrained(name):
    """A defense as it ships for MNIST and model_a; with untrained weights where none do."""
    dataset, cpu = DATASETS.create("mnist"), torch.device("cpu")
    try:
        return load_defense(DEFENSES.spec(name), dataset, CLASSIFIERS.spec("model_a"), cpu, [SHIPPED_ZOO])[0]
    except MissingWeightsError:
        torch.manual_seed(0)
        untrained = DEFENSES.create(name)
        untrained.build(dataset.shape, dataset.num_classes)
        return untrained.eval()


@pytest.fixture(scope="session")
def mnist_500():
    """500 MNIST test images and a small classifier that is right on 99 %."""
    dataset = DATASETS.create("mnist")
    classifier, _ = load_classifier(CLASSIFIERS.spec("small"), dataset, torch.device("cpu"), [ZOO])
    return dataset.judged(500), classifier


@pytest.fixture(scope="session")
def mnist(mnist_500):
    """The first 200 of them."""
    images, classifier = mnist_500
    return Images(images.x[:200], images.y[:200]), classifier


@pytest.fixture(scope="session")
def shapes():
    """The generated images, and their classifier."""
    dataset = DATASETS.create("shapes")
    return dataset.judged(40), CLASSIFIERS.create("matched", dataset.shape, dataset.num_classes).eval()


SMALL_RUN = (
    "--plugin", SHAPES, "--dataset", "shapes", "--classifier", "matched", "--attacks", "fgsm,pgd[steps=4],noise",
    "--eps", "0.1,0.3", "-n", "40", "--no-latency",
)  # fmt: skip
"""A run of a second: the generated dataset, every kind of attack, the reference defenses."""


@pytest.fixture
def small_config(tmp_path):
    """A configuration file without the trained defenses of the preset."""
    path = tmp_path / "small.toml"
    path.write_text('defenses = []\nbatch_size = 16\nthreats = ["graybox"]\n')
    return path
