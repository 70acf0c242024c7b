"""Keys: what changes them, and what does not."""

from __future__ import annotations

import pytest

from purification_bench.benchmark import facts
from purification_bench.benchmark.memo import Memo
from purification_bench.benchmark.registries import DEFENSES
from purification_bench.benchmark.run import config
from purification_bench.benchmark.run.cells import LatencyCell
from purification_bench.benchmark.run.plan import plan
from purification_bench.defenses.errors import UserError

MACHINE = {"device": "cpu", "device_name": "a processor", "threads": 2}
FLAGS = {
    "datasets": ["shapes"], "classifiers": ["matched"], "defenses": ["median"], "references": ["none"],
    "attacks": ["fgsm", "pgd[steps=3]"], "eps": [0.1, 0.3], "n": 8, "latency": False,
}  # fmt: skip


def keys(**changes) -> dict[tuple[str, str | None, float], str]:
    planned = plan(config.load("quick", None, {**FLAGS, **changes}), MACHINE)
    return {
        (cell.defense.spec.label, cell.attack.attack.label if cell.attack else None, cell.eps): cell.key
        for cell in planned.cells
    }


def test_every_cell_has_a_key_of_its_own():
    found = keys()
    assert len(found) == 2 * (1 + 2 * 2)
    assert len(set(found.values())) == len(found)


def test_a_key_does_not_depend_on_the_rest_of_the_grid():
    alone = keys(defenses=[], attacks=["fgsm"], eps=[0.3])
    assert set(alone.values()) <= set(keys().values())


@pytest.mark.parametrize(
    "change", [{"n": 9}, {"seed": 1}, {"batch_size": 4}, {"attacks": ["fgsm", "pgd[steps=4]"]}], ids=str
)
def test_a_key_depends_on_what_the_result_depends_on(change):
    before, after = keys(), keys(**change)
    changed = [place for place in before if before[place] != after.get(place)]
    assert ("median", "pgd[steps=3]", 0.3) in changed


def test_draws_change_the_key_of_stochastic_defenses_only():
    assert keys(draws=3) == keys(draws=4)


def test_a_new_version_is_a_new_key(monkeypatch):
    before = keys()
    monkeypatch.setattr(DEFENSES.get("median"), "version", "2")
    monkeypatch.setattr(facts, "MEMO", Memo())  # whoever edits a version edits the file that is remembered by
    after = keys()
    assert {place[0] for place in before if before[place] != after[place]} == {"median"}


def test_a_new_surrogate_is_a_new_key_for_those_who_follow_it(monkeypatch):
    def planned():
        return plan(config.load("quick", None, {**FLAGS, "threats": ["graybox", "bpda", "whitebox"]}), MACHINE).cells

    before = {cell.key: cell for cell in planned()}
    monkeypatch.setattr(DEFENSES.get("median"), "surrogate_version", "2")
    monkeypatch.setattr(facts, "MEMO", Memo())
    gone = [cell for key, cell in before.items() if key not in {cell.key for cell in planned()}]
    assert {(cell.defense.spec.label, cell.attack.threat) for cell in gone} == {("median", "bpda")}


@pytest.mark.parametrize(("dataset", "label"), [("mnist", "model_a_at"), ("fashion_mnist", "model_a_at[eps=0.1]")])
def test_transfer_attacks_the_robust_classifier_of_the_data_set(dataset, label):
    flags = {"datasets": [dataset], "classifiers": ["model_a"], "threats": ["transfer"], "n": 8}
    planned = plan(config.load("quick", None, {**FLAGS, **flags}), MACHINE)
    assert {cell.attack.substitute.label for cell in planned.cells if cell.attack} == {label}


def test_an_attack_that_no_threat_takes_is_told():
    made = config.load("quick", None, {**FLAGS, "attacks": ["fgsm", "square"], "threats": ["graybox", "bpda"]})
    (warning,) = plan(made, MACHINE).warnings
    assert warning == "attack 'square' is not run: it takes queries, which blackbox gives, not graybox, bpda"


def test_latency_is_keyed_by_the_machine():
    planned = plan(config.load("quick", None, {**FLAGS, "latency": True}), MACHINE)
    timed = [cell for cell in planned.cells if isinstance(cell, LatencyCell)]
    assert [cell.identity["machine"]["device"] for cell in timed] == ["cpu", "cpu"]


def test_the_same_spec_twice_is_one_row():
    assert keys(defenses=["median", "median", "none"]) == keys()


def test_a_defense_with_images_of_its_own_has_the_cells_of_a_run_of_that_size():
    both = keys(override=[{"defense": "median", "n": 4}])
    assert {key for (label, *_), key in both.items() if label == "none"} <= set(keys().values())
    assert {key for (label, *_), key in both.items() if label == "median"} <= set(keys(n=4).values())


def test_an_override_for_an_unknown_defense_is_refused():
    with pytest.raises(UserError, match="unknown defense in an override: 'medium'"):
        keys(override=[{"defense": "medium", "n": 4}])


@pytest.mark.parametrize(("eps", "told"), [("0.1", True), ("0.1,mark", False), ("0.1,0.3", False)])
def test_sizes_without_the_mark_are_told(eps, told, bench):
    _, _, err = bench("run", "--defenses", "median", "--attacks", "fgsm", "--eps", eps, "-n", "8", "--dry-run")
    assert ("mnist: no attack of size 0.3, at which rows are compared: --eps mark adds it" in err) == told
