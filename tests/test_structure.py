"""The shape of the house: which package may import which, and what ships."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import purification_bench

ROOT = Path(__file__).parent.parent
PACKAGES = ("benchmark", "attacks", "defenses", "leaderboard")
ALLOWED = {
    "defenses": {"defenses"},
    "attacks": {"attacks", "defenses"},
    "leaderboard": {"leaderboard"},
    "benchmark": {"benchmark", "attacks", "defenses", "leaderboard"},
}


def imports_of(file: Path) -> set[str]:
    """Return what a file imports: of ours the folder, of others the package."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} if node.module != "purification_bench" else {f"{node.module}.{node.names[0].name}"}
    return {name.removeprefix("purification_bench.").split(".")[0] for name in found}


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
    assert knowing == {"attacks/few_pixels.py", "attacks/inner.py", "attacks/signed_steps.py"}


def test_the_public_names_are_the_same_for_python_and_for_type_checkers():
    body = next(node for node in ast.parse((ROOT / "__init__.py").read_text()).body if isinstance(node, ast.If)).body
    typed = {alias.name: node.module for node in body for alias in node.names}
    assert {name: f"purification_bench.{place}" for name, place in purification_bench._PLACES.items()} == typed
    assert all(hasattr(purification_bench, name) for name in purification_bench.__all__)
