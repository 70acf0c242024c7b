"""The shape of the house: which package may import which, and what ships."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("benchmark", "attacks", "defenses", "leaderboard")
ALLOWED = {
    "defenses": {"defenses"},
    "attacks": {"attacks", "defenses"},
    "leaderboard": {"leaderboard"},
    "benchmark": {"benchmark", "attacks", "defenses", "leaderboard"},
}


def imports_of(file: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_go_one_way(package):
    for file in (ROOT / package).rglob("*.py"):
        assert (imports_of(file) & set(PACKAGES)) <= ALLOWED[package], file


def test_the_leaderboard_imports_no_torch():
    for file in (ROOT / "leaderboard").rglob("*.py"):
        assert not imports_of(file) & {"torch", "torchvision", "torchattacks", "safetensors"}, file


def test_only_the_catalogs_of_attacks_know_torchattacks():
    knowing = {
        file.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for file in (ROOT / package).rglob("*.py")
        if "torchattacks" in imports_of(file)
    }
    assert knowing == {"attacks/apgd.py", "attacks/catalog.py", "attacks/queries.py"}


def test_the_four_packages_ship_and_the_tests_do_not():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert set(settings["tool"]["setuptools"]["packages"]) == {*PACKAGES, "benchmark.commands"}
