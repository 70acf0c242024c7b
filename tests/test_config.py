"""Configuration: preset, then file, then flags."""

from __future__ import annotations

import pytest

from purification_bench.attacks.threat import adaptive
from purification_bench.benchmark.registries import ATTACKS, DATASETS, DEFENSES
from purification_bench.benchmark.run import config
from purification_bench.defenses.errors import UserError


@pytest.mark.parametrize("name", config.preset_names())
def test_every_preset_names_what_there_is(name):
    made = config.load(name, None, {})
    for text in (*made.references, *made.defenses):
        DEFENSES.spec(text)
    for text in made.attacks:
        attack = ATTACKS.create(text)
        if attack.norm == "linf":
            for dataset in made.datasets:
                sizes = made.sizes(
                    dataset, attack.spec.name, "graybox", DATASETS.get(dataset).eps_grid, DATASETS.get(dataset).eps
                )
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
    assert made.sizes("mnist", "fgsm", "graybox", (), 0.3) == (8 / 255, 0.1)
    assert made.sizes("mnist", "pgd", "graybox", (0.5,), 0.3) == (0.5,)


def test_sizes_may_differ_by_dataset(tmp_path):
    file = tmp_path / "run.toml"
    file.write_text("[eps]\npgd = [0.2]\n[eps.mnist]\nfgsm = [0.3]\ndefault = [0.4]\n")
    made = config.load("quick", file, {})
    assert made.sizes("mnist", "fgsm", "graybox", (0.5,), 0.3) == (0.3,)
    assert made.sizes("mnist", "pgd", "graybox", (0.5,), 0.3) == (0.4,)
    assert made.sizes("fashion_mnist", "pgd", "graybox", (0.5,), 0.3) == (0.2,)
    assert made.sizes("fashion_mnist", "fgsm", "graybox", (0.5,), 0.3) == (0.5,)


def test_sizes_may_be_shares_of_the_mark():
    made = config.load("quick", None, {"eps": ["mark/3", "0.1", "mark"]})
    assert made.sizes("mnist", "pgd", "graybox", (), 0.3) == (0.1, 0.3)
    assert made.sizes("fashion_mnist", "pgd", "graybox", (), 0.1) == (0.033333, 0.1)


def test_one_list_of_sizes_serves_every_attack():
    made = config.load("quick", None, {"eps": ["0.1", "0.1", "0.3"]})
    assert made.sizes("mnist", "anything", "graybox", (0.5,), 0.3) == (0.1, 0.3)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"draws": 256}, "at most 255"),
        ({"eps": ["mark/0"]}, "mark/3"),
        ({"eps": ["marks"]}, "mark/3"),
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
    assert (made.n_of("median"), made.draws_of("median"), made.latency_batch_of("median")) == (7, 5, 4)
    assert made.n_of("none") == 50
    asked = config.load("quick", file, {"n": 9})
    assert (asked.n_of("median"), asked.latency_batch_of("median")) == (9, 4)


def test_a_threat_has_a_table_and_a_slow_defense_one_within_it(tmp_path):
    file = tmp_path / "run.toml"
    file.write_text("""
        n = 50
        threats = ["adaptive"]
        eot_samples = 10
        [threat.whitebox]
        n = 20
        attacks = ["pgd[steps=3]"]
        eps = [0.2]
        eot_samples = 4
        [budget.median]
        n = 30
        [budget.median.whitebox]
        n = 5
        eot_samples = 1
        attacks = ["fgsm"]
        [budget.binarize]
        n = 10
    """)
    made = config.load("quick", file, {})
    assert made.threats == adaptive()
    assert made.attacks_of("median", "whitebox") == ("fgsm",)
    assert [made.n_of(name, "whitebox") for name in ("none", "median", "binarize")] == [20, 5, 10]
    assert [made.n_of(name, "bpda") for name in ("none", "median", "binarize")] == [50, 30, 10]
    assert [
        made.eot_samples_of(*place) for place in (("none", "whitebox"), ("median", "whitebox"), ("none", "bpda"))
    ] == [4, 1, 10]
    assert made.attacks_of("cae", "whitebox") == ("pgd[steps=3]",)
    assert made.attacks_of("cae", "bpda") == made.attacks_of("cae", "graybox") == made.attacks
    assert made.sizes("mnist", "pgd", "whitebox", (), 0.3) == (0.2,)
    asked = config.load("quick", file, {"n": 9, "attacks": ["fgsm"]})
    assert asked.n_of("median", "whitebox") == 9
    assert asked.attacks_of("cae", "whitebox") == ("fgsm",)
    assert asked.eot_samples_of("none", "whitebox") == 4


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"threats": ["greybox"]}, "unknown threat in command line: 'greybox'; did you mean 'graybox'"),
        ({"threats": []}, "must not be empty"),
        ({"threat": {"whitebox": {"steps": 3}}}, r"unknown key of \[threat.whitebox\] in command line: 'steps'"),
        ({"threat": {"white": {}}}, "'white'"),
        ({"threat": {"adaptive": {"n": 5}}}, "unknown threat in command line: 'adaptive'"),
        ({"eot_samples": 0}, "at least 1"),
    ],
)
def test_bad_threats_are_told(values, message):
    with pytest.raises(UserError, match=message):
        config.load(None, None, values)


@pytest.mark.parametrize(
    ("budget", "message"),
    [
        ({"median": 7}, "must be tables"),
        ({"median": {"eps": 7}}, "Valid: draws, eot_samples, latency_batch, n, stand_in"),
        ({"median": {"n": 0}}, "at least 1, not 0"),
        ({"median": {"attacks": ["fgsm"]}}, r"unknown key of \[budget.median\] in command line: 'attacks'"),
        ({"median": {"bpda": {"draws": 2}}}, r"unknown key of \[budget.median.bpda\] in command line: 'draws'"),
    ],
)
def test_bad_budgets_are_told(budget, message):
    with pytest.raises(UserError, match=message):
        config.load(None, None, {"budget": budget})
