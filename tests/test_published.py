"""The published leaderboard is what its results say, and its results are those of the shipped weights."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from benchmark import config, grid, zoo
from benchmark.paths import SHIPPED_ZOO
from leaderboard import page
from leaderboard.store import Store

PAPERS_DEFENSEGAN = "defensegan[steps=200,restarts=10,z_init=0.0884]"
CAE = ["cae", "cae[latent_dim=32,noise=0.1]"]
CAE += ["cae[against=pgd,eps=0.15]", "cae[against=pgd,eps=0.15,latent_dim=32,noise=0.1]"]
ATTACKED = [*CAE, "puvae"]
SEEING = ["graybox", "transfer", "bpda", "whitebox", "soft"]
BOARD = Path(__file__).parent.parent / "leaderboard"


def test_the_page_follows_from_the_results(tmp_path):
    shutil.copytree(
        BOARD / "published", tmp_path / "published", ignore=shutil.ignore_patterns("figures", "adversarial")
    )
    page.write(Store(tmp_path / "published"), tmp_path / "README.md")
    assert (tmp_path / "README.md").read_text() == (BOARD / "README.md").read_text()


def test_every_row_was_computed_with_shipped_weights():
    shipped = {weights.sha256 for weights in zoo.entries([SHIPPED_ZOO])}
    for result in Store(BOARD / "published").results():
        for part in ("classifier", "defense"):
            assert result.identity[part]["weights"] in {None, *shipped}


@pytest.mark.parametrize(
    ("preset", "flags"),
    [
        ("standard", {}),
        ("paper", {"attacks": ["fgsm"], "eps": [0.6]}),
        ("paper", {"attacks": ["pgd"], "eps": [0.15]}),
        ("paper", {"attacks": ["fgsm", "pgd"], "eps": [0.3], "defenses": ["defensegan", "puvae"]}),
        ("paper", {"attacks": ["fgsm", "pgd"], "eps": [0.3], "defenses": [PAPERS_DEFENSEGAN], "n": 50}),
        ("adaptive", {"datasets": ["mnist"], "defenses": ATTACKED, "threats": SEEING}),
    ],
    ids=["standard", "fgsm .6", "pgd .15", "fgsm and pgd .3", "the paper's Defense-GAN", "adaptive"],
)
def test_the_presets_cells_are_all_there(preset, flags):
    asked = config.load(preset, None, {**flags, "latency": False})
    plan = grid.plan(asked, torch.device("cpu"), None, None)
    stored = {result.key for result in Store(BOARD / "published").results() if result.ok}
    assert {cell.key for cell in plan.cells} <= stored
