"""The controls of the audit: what hides its gradient is exposed, and what is honest is not accused."""

from __future__ import annotations

import json
import re

import pytest
from conftest import PLUGINS, SMALL, ZOO

MASKED = re.findall(r'register_defense\("(\w+)"\)', (PLUGINS / "masked.py").read_text())
HONEST = ["honest_constant", "honest_nearest", "binarize"]
SHORTER = """
n = 32
eot_samples = 2
draws = 2
eps = ["mark", 1.0]
attacks = ["fgsm", "pgd[steps=20]"]
threats = ["graybox", "bpda", "whitebox"]
[[override]]
threat = "bpda"
attacks = ["pgd[steps=20]"]
"""
"""Than the preset: ``make audit-controls`` runs the whole of it."""


CUT, RAISES, TELLS = "planted examples are found", "attacks run", "keeps its contract"
LOST = "the objective improves"
CAUSES = {
    "masked_rounding": CUT, "masked_detach": CUT, "masked_temperature": CUT, "masked_vanishing": CUT,
    "masked_train_mode": CUT, "masked_cae": LOST, "masked_no_grad": RAISES, "masked_jpeg": RAISES,
    "masked_table": RAISES, "masked_mode": TELLS,
}  # fmt: skip
"""The check that names what a control does; attacks that see the others break them without more ado."""
STANDS = {"masked_cae"}
"""What attackers who see it do not break, as its gradient is cut: the audit alone exposes it."""
CHANCE = 0.12
ROBUST = "model_a_at"


def audits(folder, *words):
    from purification_bench.benchmark import cli

    page, shorter = folder / "audit.json", folder / "shorter.toml"
    shorter.write_text(SHORTER)
    cli.main(["audit", *map(str, words), "--config", str(shorter), "--json", str(page)])
    return {(row["defense"], row["classifier"]): row for row in json.loads(page.read_text())}


def plugins(*names):
    return [word for name in names for word in ("--plugin", PLUGINS / f"{name}.py")]


CHEATS = {
    "cheating_copies": "knows no judged image", "cheating_softly": "knows no judged image",
    "cheating_blend": "knows no judged image", "cheating_memory": "remembers nothing",
    "cheating_numpy": "draws from torch", "cheating_generator": "keeps its contract",
}  # fmt: skip
"""What each is told by."""
HONEST_TOO = ["honest_blur", "honest_noise", "honest_contrast"]


@pytest.fixture(scope="module")
def audited(tmp_path_factory):
    """Every control's audit by name; the auto-encoder's before the classifier that it was trained for."""
    small = ("--classifier", "small", "--zoo", ZOO, *plugins("masked", "honest", "cheating", "ordinary", "small"))
    names = ",".join(name for name in [*MASKED, *HONEST, *CHEATS, *HONEST_TOO] if name not in STANDS)
    found = audits(tmp_path_factory.mktemp("controls"), names, *small)
    found |= audits(tmp_path_factory.mktemp("masked_cae"), ",".join(STANDS), "-n", "20", *plugins("masked"))
    return {defense: row for (defense, _), row in found.items()}


def failed(row, *, gating):
    return {flag["name"] for flag in row["flags"] if flag["state"] == "failed" and flag["gating"] is gating}


def test_there_are_enough_of_them():
    assert len(MASKED) >= 10
    assert set(CAUSES) < set(MASKED)


@pytest.mark.parametrize("name", MASKED)
def test_a_masked_defense_falls_and_the_cause_is_named(name, audited):
    row = audited[name]
    assert (row["seen"]["value"] <= CHANCE) != (name in STANDS), row["flags"]
    assert CAUSES.get(name) in {None, *failed(row, gating=True)}, row["flags"]
    assert (RAISES in failed(row, gating=True)) == (CAUSES.get(name) in (RAISES, TELLS)), row["flags"]


@pytest.mark.parametrize("name", CHEATS)
def test_a_cheat_is_told_by_name(name, audited):
    row = audited[name]
    assert CHEATS[name] in failed(row, gating=True), row["flags"]
    assert CHEATS[name] in row["verdict"] or row["verdict"].startswith("not robust")


@pytest.mark.parametrize("name", [*HONEST, *HONEST_TOO, *MASKED])
def test_who_does_not_cheat_is_not_told_to(name, audited):
    unjust = {"knows no judged image", "remembers nothing", "draws from torch"} & failed(audited[name], gating=True)
    assert not unjust


def test_a_constant_image_is_not_robust_and_not_accused(audited):
    row = audited["honest_constant"]
    assert row["verdict"] == "not robust: no better than chance"
    assert failed(row, gating=True) | failed(row, gating=False) == set()


@pytest.mark.parametrize("name", ["honest_nearest", "binarize"])
def test_what_declares_no_gradient_is_listed_without_a_rank(name, audited):
    assert audited[name]["verdict"] == "fails 'gradient auditable'"


def test_what_is_robust_stands_without_a_flag(tmp_path_factory):
    """Beside a classifier that is not robust, on which the attacks are shown to work."""
    words = ("--classifier", f"small,{ROBUST}", "-n", "50", "--plugin", SMALL, "--zoo", ZOO)
    row = audits(tmp_path_factory.mktemp("robust"), "none", *words)["none", ROBUST]
    assert row["verdict"] == "stands"
    assert row["robust"]["value"] > 0.8
    assert failed(row, gating=True) | failed(row, gating=False) == set()
