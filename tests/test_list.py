"""``bench list``."""

from __future__ import annotations

import pytest
from conftest import BROKEN


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
    (line,) = [line for line in out.splitlines() if line.startswith("raises")]
    assert "Raises." in line
    assert BROKEN in line


def test_the_zoo_shows_digest_command_and_validation_score(bench):
    _, out, _ = bench("list", "zoo")
    line = next(line for line in out.splitlines() if line.startswith("cae "))
    assert "validation accuracy 0.9" in line or "validation accuracy 0.7" in line
    assert "bench train defense " in line
