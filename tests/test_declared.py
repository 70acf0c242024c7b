"""What attacks and threats declare today is what older files, which did not say, are taken to have declared."""

from __future__ import annotations

import pytest

from purification_bench.attacks.threat import SUBMITTED, THREATS
from purification_bench.benchmark.registries import ATTACKS, DEFENSES
from purification_bench.leaderboard.results.declared import AttackTraits, Threat
from purification_bench.leaderboard.results.declared_before_3 import declared_before_3

SINCE = {"choice", "ddn", "jsma", "latent_l2", "learned", "one_pixel", "race", "race_l2", "rays"}
"""Their results have always said what they declare."""
BEFORE_3 = [threat for word, threat in THREATS.items() if word not in SINCE]
BUILT_IN = [name for name, entry in ATTACKS.entries().items() if entry.provider == "built-in" and name not in SINCE]


def identity(estimator="bare", attack="fgsm", defense="cae", **options):
    """Return as much of a cell's identity as declarations were read from."""
    described = {"estimator": estimator, "name": attack, "options": options}
    return {"defense": {"name": defense}, "attack": described}


@pytest.mark.parametrize("threat", [*BEFORE_3, SUBMITTED], ids=lambda threat: threat.word)
def test_a_threat_declares_what_it_always_did(threat):
    """Two declarations of one word would be two columns of a board."""
    assert Threat(**threat.declared()) == declared_before_3(identity(threat.estimator)).threat


@pytest.mark.parametrize("name", BUILT_IN)
def test_an_attack_declares_what_it_always_did(name):
    spec = ATTACKS.spec(name)
    known = declared_before_3(identity(attack=name, **spec.options)).attack
    assert AttackTraits(**ATTACKS.create(spec).declared()) == known


def test_one_step_of_many_is_one_step():
    assert not ATTACKS.create("pgd[steps=1,alpha=1.0]").declared()["iterates"]
    assert not declared_before_3(identity(attack="pgd", steps=1)).attack.iterates


def test_the_row_that_others_are_compared_with_is_known():
    undefended = [name for name in DEFENSES.names() if getattr(DEFENSES.get(name), "undefended", False)]
    assert undefended == ["none"]
    assert declared_before_3(identity(defense="none")).defense.undefended
