"""README's promises: its Python runs as it stands, its commands and links exist; and so does the notebook."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from conftest import SHAPES

from purification_bench import load
from purification_bench.benchmark import cli

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
API, PLUGIN = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
DOCS = sorted((ROOT / "docs").glob("*.md"))
NOTEBOOK = json.loads((ROOT / "docs" / "quickstart.ipynb").read_text())
CELLS = ["".join(cell["source"]) for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]
COLOUR = (ROOT / "docs" / "colour.md").read_text()


def commands_of(text):
    """Each command line of a page, with those that it goes on in."""
    lines = text.replace("\\\n", " ").splitlines()
    return [line.split("#")[0].strip() for line in lines if re.match(r"bench \w+ ", line)]


PAGES = (README, COLOUR, *((ROOT / "docs" / f"{name}.md").read_text() for name in ("defenses", "attack-strength")))
COMMANDS = [command for page in PAGES for command in commands_of(page)]


def test_the_defense_of_the_readme_is_short_and_runs(bench, tmp_path):
    assert len(PLUGIN.splitlines()) <= 20
    (tmp_path / "blur.py").write_text(PLUGIN)
    (tmp_path / "c.toml").write_text("references = ['none']\n")
    status, out, _ = bench(
        "run", "--plugin", "blur.py", "--defenses", "blur,blur[size=5]", "--plugin", SHAPES, "--dataset", "shapes",
        "--classifier", "matched", "-n", "20", "--config", "c.toml", "--no-latency",
    )  # fmt: skip
    assert status == 0
    assert "blur[size=5]" in out


def on_few_images(code):
    """The same on fewer images: what it comes to is not looked at here."""
    assert "n=50" in code
    return code.replace("n=50", "n=6")


def test_the_python_of_the_readme_runs(capsys):
    exec(on_few_images(API), {})
    assert "verdict" in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_notebook_runs():
    exec(on_few_images("\n".join(CELLS)), {})
    for word in ("evaluate", "headline", "frame", "audit", "plot", "defended"):
        assert word in "".join(CELLS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_parses(command):
    _, *words = shlex.split(command)
    args, extra = cli.build_parser()[0].parse_known_args(words)
    assert args.command == words[0]
    assert not extra or words[0] == "train"


@pytest.mark.parametrize(
    "page", ["README.md", "CONTRIBUTING.md", "leaderboard/README.md", *(f"docs/{name.name}" for name in DOCS)]
)
def test_links_lead_somewhere(page):
    file = ROOT / page
    for target in re.findall(r"\]\(([^)#]+)", file.read_text()):
        if "://" not in target:
            assert (file.parent / target).exists(), target


def guide_of_plugins() -> tuple[str, list[str]]:
    """Return the guide, and the files that it shows: a trained defense, then a data set with a classifier."""
    guide = (ROOT / "docs" / "plugins.md").read_text()
    return guide, re.findall(r"```python\n(.*?)```", guide, re.DOTALL)


def test_the_plugin_of_the_guide_is_trained_and_attacked(bench, tmp_path):
    """Its mark is 8/255: a full board, and the size is written as it is meant."""
    guide, (_, plugin) = guide_of_plugins()
    train, run = re.findall(r"^bench (?:train classifier|run --dataset) .*$", guide, re.MULTILINE)
    (tmp_path / "patches.py").write_text(plugin)
    (tmp_path / "few.toml").write_text("references = ['none']\n")
    assert bench(*shlex.split(train)[1:])[0] == 0
    few = [
        "--config",
        "few.toml",
        "--threat",
        "graybox,bpda,whitebox",
        "--attacks",
        "fgsm,pgd[steps=5]",
        "--no-latency",
    ]
    status, out, _ = bench(*shlex.split(run)[1:], *few)
    assert status == 0
    assert "at 8/255 (%)" in out
    headline = load(tmp_path / "results").headline()
    assert set(headline.defense) == {"none", "median"}
    assert (headline.clean > 0.9).all()
    assert headline.robust.notna().all()
    page = (tmp_path / "results" / "README.md").read_text()
    assert "robust at 8/255" in page and "0.03137" not in page


def test_the_trained_defense_of_the_guide_is_trained_and_judged(bench, tmp_path):
    """On generated images in place of MNIST."""
    guide, (source, _) = guide_of_plugins()
    (tmp_path / "one_layer.py").write_text(source.replace("2, 100", "2, 30"))
    where = ["--plugin", SHAPES, "--classifier", "matched", "--no-latency"]
    for line in re.findall(r"^bench .* --plugin one_layer.py .*$", guide, re.MULTILINE):
        words = shlex.split(line.replace("mnist", "shapes").replace("-n 100", "-n 20"))[1:]
        status, out, err = bench(*words, *(where if words[0] == "run" else where[:-1]))
        assert status == 0, err
    assert "one_layer" in out and "ERROR" not in out


FEW = """
n = 8
draws = 1
eot_samples = 1
eps = ["mark"]
threats = ["graybox", "bpda", "whitebox"]
attacks = ["fgsm", "pgd[steps=5]", "noise"]

[[override]]
threat = ["bpda", "whitebox"]
attacks = ["fgsm", "pgd[steps=5]"]
"""


def test_images_in_colour_go_the_whole_way(bench, tmp_path):
    """A diffusion model is trained on generated 3x32x32 images, and audited with its page."""
    _, (_, plugin) = guide_of_plugins()
    (tmp_path / "hues.py").write_text(plugin.replace('"patches"', '"hues"').replace('"tiny"', '"tinier"'))
    where = ("--dataset", "hues", "--plugin", "hues.py", "--zoo", "zoo")
    assert bench("train", "classifier", "tinier", *where, "--epochs", "5")[0] == 0
    short = ("--epochs", "1", "--batch-size", "40", "--limit", "120", "--validation", "20")
    status, _, err = bench("train", "defense", "ddpm[width=8]", *where, *short)
    assert status == 0, err
    (tmp_path / "few.toml").write_text(FEW)
    few = ("--classifier", "tinier", "--config", "few.toml", "--out", "audited")
    status, out, err = bench("audit", "ddpm_onestep[t=50,width=8]", *where, *few)
    assert status in (0, 1), err
    assert "hues, tinier" in out and "ddpm_onestep" in out
    assert "ERROR" not in out + err
    assert "ddpm_onestep" in (tmp_path / "audited" / "README.md").read_text()


def test_a_model_of_timm_is_a_classifier_in_a_few_lines(bench, tmp_path, monkeypatch):
    """``timm`` is played by a module that makes a small network and remembers what it was asked for."""
    (plugin,) = re.findall(r"```python\n(.*?)```", COLOUR, re.DOTALL)
    assert len(plugin.splitlines()) <= 20
    (tmp_path / "timm_models.py").write_text(plugin)
    (tmp_path / "timm.py").write_text(
        "from torch import nn\n"
        "def create_model(name, *, pretrained, in_chans, num_classes):\n"
        "    assert pretrained and name == 'resnet18.a1_in1k'\n"
        "    return nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * in_chans, num_classes))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    status, out, err = bench(
        "run", "--plugin", "timm_models.py", "--plugin", SHAPES, "--dataset", "shapes", "--classifier", "timm",
        "--defenses", "median", "--attacks", "fgsm", "-n", "12", "--no-latency", "--threat", "graybox",
    )  # fmt: skip
    assert status == 0, err
    assert "shapes, timm" in out
