"""The leaderboard judges by what results declare: its code knows no attack, threat, defense or dataset by name."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from purification_bench.attacks.threat import THREATS
from purification_bench.benchmark.registries import ATTACKS, DATASETS, DEFENSES

LEADERBOARD = Path(__file__).parent.parent / "leaderboard"
FILES = [file for file in sorted(LEADERBOARD.rglob("*.py")) if "mandal2023" not in file.parts]
WORDS_OF_ITS_OWN = {"none"}
"""What no gradient, and training that saw nothing, are called."""
NAMES = {*THREATS, *ATTACKS.entries(), *DEFENSES.entries(), *DATASETS.entries()} - WORDS_OF_ITS_OWN


def constants(tree: ast.Module) -> set[str]:
    """Every string of the code, and every word of one, without those that only explain."""
    explaining = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in explaining]
    return {node.value for node in found if isinstance(node.value, str)}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(LEADERBOARD).as_posix())
def test_no_name_decides(file):
    assert constants(ast.parse(file.read_text())) & NAMES == set()


def test_the_seed_papers_room_is_entered_from_outside_alone():
    for file in FILES:
        if file.name != "pages.py":
            assert "mandal2023 import" not in file.read_text()


def test_threats_are_named_in_one_file_of_the_attacks():
    folder = LEADERBOARD.parent / "attacks"
    naming = {
        file.name for file in folder.glob("*.py") if constants(ast.parse(file.read_text())) & (NAMES & {*THREATS})
    }
    assert naming - {"latent.py"} == {"threat.py"}  # the attack "latent" has its threat's name
