"""``bench list``."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys

import pytest
from conftest import BROKEN, SHAPES

from purification_bench.benchmark.registries import DEFENSES, REGISTRIES
from purification_bench.defenses import described
from purification_bench.defenses.spec import option_defaults


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ("defenses", ["none", "cae", "binarize", "median"]),
        ("attacks", ["fgsm", "bim", "pgd", "cw", "noise"]),
        ("classifiers", ["model_a", "vgg16"]),
        ("datasets", ["mnist", "fashion_mnist"]),
        ("presets", ["quick", "standard", "paper"]),
        ("zoo", ["model_a", "cae"]),
    ],
)
def test_everything_is_listed(what, expected, bench):
    status, out, _ = bench("list", what)
    assert status == 0
    names = {line.split()[0] for line in out.splitlines()}
    assert names >= set(expected)


def test_a_plugin_is_listed_with_its_file(bench):
    _, out, _ = bench("list", "defenses", "--plugin", BROKEN)
    (line,) = [line for line in out.splitlines() if line.startswith("raises ")]
    assert "Raises." in line
    assert BROKEN in line


def test_the_zoo_shows_digest_command_and_validation_score(bench):
    _, out, _ = bench("list", "zoo")
    line = next(line for line in out.splitlines() if line.startswith("cae "))
    assert "validation accuracy 0.9" in line or "validation accuracy 0.7" in line
    assert "bench train defense " in line


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ["defense", "cae"],
            ["latent_dim: int, at least 1, default 10", "Mandal 2023", "stochastic: noise > 0", "cae on mnist"],
        ),
        (["defense", "cae_at"], ["epochs: 5", "batch_size: 50", "training_knowledge: attack"]),
        (["attacks", "pgd"], ["steps: int, at least 1, default 40", "iterates: True", "--attacks 'pgd[steps=...]'"]),
        (["classifier", "model_a"], ["Model A", "model_a on mnist: validation accuracy"]),
        (
            ["dataset", "mnist"],
            [
                "Images are resized to so many pixels",
                "shape: (1, 28, 28)",
                "eps: 0.3",
                "split: Literal['test', 'validation']",
            ],
        ),
        (["threat", "soft"], ["gradient of: relaxation", "no headline without it: yes", "relaxes, differentiable"]),
        (["threat", "submitted"], ["bench score", "enters the worst case: yes"]),
        (["threats", "adaptive"], ["graybox, bpda, whitebox"]),
        (["protocol", "standard"], ["images stay in [0, 1]"]),
        (["preset", "quick"], ["latency_batch = 8"]),
        (["zoo", "puvae"], ["bench train defense"]),
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_one_name_is_told_in_full(words, told, bench):
    status, out, _ = bench("list", *words)
    assert status == 0
    for line in told:
        assert line in out


@pytest.mark.parametrize("name", ["median", "smooth", "ddpm_diffusers"])
def test_no_training_is_told_of_what_has_none(name, bench):
    _, out, _ = bench("list", "defense", name)
    assert "version: 1" in out and "epochs:" not in out and "batch_size:" not in out


def test_a_plugin_is_told_in_full(bench):
    _, out, _ = bench("list", "dataset", "shapes", "--plugin", SHAPES)
    assert "Noisy bars, 3x32x32, 4 classes." in out and "eps: 0.1" in out and SHAPES in out


def test_an_unknown_name_is_refused_with_the_valid_ones(bench):
    status, _, err = bench("list", "defense", "ca")
    assert status == 2
    assert err.startswith("bench: unknown defense 'ca'; did you mean 'cae'? Valid: ") and " binarize," in err


@pytest.mark.parametrize(
    ("registry", "name"), [(kind, name) for kind, each in REGISTRIES.items() for name in each._builtins]
)
def test_what_is_read_from_a_source_is_what_the_class_says(registry, name):
    """Read without importing, beside the class itself."""
    entry, cls = REGISTRIES[registry].entries()[name], REGISTRIES[registry].get(name)
    known = described.described(described.file_of_module(entry.module), entry.cls)
    defaults = option_defaults(cls)
    assert [option.name for option in known.options] == list(defaults)
    for option in known.options:
        assert eval(option.default) == defaults[option.name]
    assert known.doc.split("\n")[0] == entry.summary
    for flag in (
        "version",
        "paper",
        "needs",
        "norm",
        "training_knowledge",
        "num_classes",
        "trained",
        "epochs",
        "batch_size",
    ):
        if flag in known.declared:
            assert eval(known.declared[flag]) == getattr(cls, flag)


def test_an_entry_point_shows_its_docstring(tmp_path, monkeypatch, bench):
    (tmp_path / "shipped.py").write_text('from somewhere import Base\n\nclass Smear(Base):\n    """Smear."""\n')
    monkeypatch.syspath_prepend(tmp_path)
    point = importlib.metadata.EntryPoint("smear", "shipped:Smear", "purification_bench.defenses")
    lost = importlib.metadata.EntryPoint("lost", "nowhere_to_be_found:Lost", "purification_bench.defenses")
    monkeypatch.setattr(DEFENSES, "_points", [point, lost])
    _, out, _ = bench("list", "defenses")
    assert "smear" in out and "Smear." in out and "nowhere_to_be_found:Lost" in out
    assert "shipped" not in sys.modules
    _, out, _ = bench("list", "defense", "smear")
    assert "Smear." in out


def test_who_reads_one_line_of_a_list_sees_no_error():
    script = f"{sys.executable} -m purification_bench list attacks | head -n 1"
    ran = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.startswith("apgd ") and ran.stderr == ""


@pytest.mark.parametrize("width", [60, 100])
def test_lists_fit_the_terminal(width, bench, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("shutil.get_terminal_size", lambda: os.terminal_size((width, 24)))
    for what in ("threats", "presets", "protocols"):
        _, out, _ = bench("list", what)
        assert max(map(len, out.splitlines())) <= width
