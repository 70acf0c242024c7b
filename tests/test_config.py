"""Configuration: preset, then file, then flags."""

from __future__ import annotations

import pytest

from benchmark import config
from benchmark.registries import ATTACKS, DATASETS, DEFENSES
from defenses.errors import UserError


@pytest.mark.parametrize("name", config.preset_names())
def test_every_preset_names_what_there_is(name):
    made = config.load(name, None, {})
    for text in (*made.references, *made.defenses):
        DEFENSES.spec(text)
    for text in made.attacks:
        attack = ATTACKS.create(text)
        if attack.norm == "linf":
            for dataset in made.datasets:
                sizes = made.sizes(dataset, attack.spec.name, DATASETS.get(dataset).eps_grid)
                assert DATASETS.get(dataset).eps in sizes, "the dataset's mark is missing"
                for eps in sizes:
                    attack.check(eps)
    assert config.preset_summary(name).endswith(".")


def test_the_default_is_quick():
    assert config.load(None, None, {}) == config.load("quick", None, {})


def test_a_file_overrides_the_preset_and_flags_override_both(tmp_path):
    file = tmp_path / "run.toml"
    file.write_text("n = 7\nseed = 3\n[eps]\nfgsm = ['8/255', 0.1]\n")
    made = config.load("quick", file, {"n": 9, "draws": None})
    assert (made.n, made.seed, made.draws) == (9, 3, 5)
    assert made.sizes("mnist", "fgsm", ()) == (8 / 255, 0.1)
    assert made.sizes("mnist", "pgd", (0.5,)) == (0.5,)


def test_sizes_may_differ_by_dataset(tmp_path):
    file = tmp_path / "run.toml"
    file.write_text("[eps]\npgd = [0.2]\n[eps.mnist]\nfgsm = [0.3]\ndefault = [0.4]\n")
    made = config.load("quick", file, {})
    assert made.sizes("mnist", "fgsm", (0.5,)) == (0.3,)
    assert made.sizes("mnist", "pgd", (0.5,)) == (0.4,)
    assert made.sizes("fashion_mnist", "pgd", (0.5,)) == (0.2,)
    assert made.sizes("fashion_mnist", "fgsm", (0.5,)) == (0.5,)


def test_one_list_of_sizes_serves_every_attack():
    made = config.load("quick", None, {"eps": ["0.1", "0.1", "0.3"]})
    assert made.sizes("mnist", "anything", (0.5,)) == (0.1, 0.3)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"draws": 256}, "at most 255"),
        ({"n": True}, "whole number"),
        ({"seed": "0"}, "seed in command line must be int"),
        ({"latency": 1}, "must be bool"),
        ({"attacks": []}, "must not be empty"),
        ({"defenses": "cae"}, "must be a list of names"),
        ({"eps": []}, "must be a list of sizes"),
        ({"eps": [float("inf")]}, "not negative"),
    ],
)
def test_values_of_the_wrong_kind_are_refused(flags, message):
    with pytest.raises(UserError, match=message):
        config.load("quick", None, flags)


def test_a_slow_defense_has_a_budget_of_its_own(tmp_path):
    file = tmp_path / "run.toml"
    file.write_text("n = 50\n[budget.median]\nn = 7\nlatency_batch = 4\n")
    made = config.load("quick", file, {})
    assert (made.of("median", "n"), made.of("median", "draws"), made.of("median", "latency_batch")) == (7, 5, 4)
    assert made.of("none", "n") == 50
    asked = config.load("quick", file, {"n": 9})
    assert (asked.of("median", "n"), asked.of("median", "latency_batch")) == (9, 4)


@pytest.mark.parametrize(
    ("budget", "message"),
    [
        ({"median": 7}, "must be tables"),
        ({"median": {"eps": 7}}, "Valid: draws, latency_batch, n"),
        ({"median": {"n": 0}}, "at least 1, not 0"),
    ],
)
def test_bad_budgets_are_told(budget, message):
    with pytest.raises(UserError, match=message):
        config.load(None, None, {"budget": budget})
