"""The controls of the audit: what hides its gradient is exposed, and what is honest is not accused."""

from __future__ import annotations

import json
import re

import pytest
from conftest import PLUGINS

MASKED = re.findall(r'register_defense\("(\w+)"\)', (PLUGINS / "masked.py").read_text())
HONEST = ["honest_constant", "honest_nearest", "binarize"]
SHORTER = """
n = 64
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


def audits(folder, *words):
    from purification_bench.benchmark import cli

    page, shorter = folder / "audit.json", folder / "shorter.toml"
    shorter.write_text(SHORTER)
    cli.main(["audit", *words, "--config", str(shorter), "--json", str(page)])
    return {row["defense"]: row for row in json.loads(page.read_text())}


@pytest.fixture(scope="module")
def audited(tmp_path_factory):
    """Every control's audit by name."""
    plugins = [word for name in ("masked", "honest") for word in ("--plugin", str(PLUGINS / f"{name}.py"))]
    return audits(tmp_path_factory.mktemp("controls"), ",".join(MASKED + HONEST), *plugins)


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


def test_a_constant_image_is_not_robust_and_not_accused(audited):
    row = audited["honest_constant"]
    assert row["verdict"] == "not robust: no better than chance"
    assert failed(row, gating=True) | failed(row, gating=False) == set()


@pytest.mark.parametrize("name", ["honest_nearest", "binarize"])
def test_what_declares_no_gradient_is_listed_without_a_rank(name, audited):
    assert audited[name]["verdict"] == "flagged: gradient auditable"


def test_what_is_robust_stands_without_a_flag(tmp_path_factory):
    row = audits(tmp_path_factory.mktemp("robust"), "none", "--classifier", "model_a,model_a_at")["none"]
    assert row["verdict"] == "stands"
    assert row["robust"]["value"] > 0.8
    assert failed(row, gating=True) | failed(row, gating=False) == set()
