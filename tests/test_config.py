"""Configuration: preset, then file, then flags; overrides, and which of them wins."""

from __future__ import annotations

import pickle
import subprocess
import sys

import pytest

from purification_bench.attacks.threat import adaptive
from purification_bench.benchmark.registries import ATTACKS, DATASETS, DEFENSES
from purification_bench.benchmark.run import config, presets
from purification_bench.benchmark.run.override_tables import check_names
from purification_bench.defenses.errors import UserError


@pytest.fixture
def load(tmp_path):
    """Load a file's text over the preset ``quick``, under flags."""

    def from_text(text: str, **flags):
        file = tmp_path / "run.toml"
        file.write_text(text)
        return config.load("quick", file, flags)

    return from_text


def sizes(made, attack, dataset="mnist", threat="graybox", mark=0.3):
    return made.sizes(dataset, attack, threat, (0.5,), mark)


@pytest.mark.parametrize("name", presets.names())
def test_every_preset_names_what_there_is(name):
    made = config.load(name, None, {})
    check_names(made.overrides)
    for text in (*made.references, *made.defenses):
        DEFENSES.spec(text)
    for text in made.attacks:
        attack = ATTACKS.create(text)
        if attack.norm == "linf":
            for place in made.datasets:
                dataset = DATASETS.get(place)
                tried = made.sizes(place, attack.spec.name, "graybox", dataset.eps_grid, dataset.eps)
                assert dataset.eps in tried, "the dataset's mark is missing"
                for eps in tried:
                    attack.check(eps)
    for said in (said for source in made.overrides for said in source):
        for text in said.attacks or ():
            ATTACKS.spec(text)


@pytest.mark.parametrize("name", presets.names())
def test_every_preset_says_what_it_is(name):
    assert presets.summary(name).endswith(".")


def test_the_default_is_quick():
    assert config.load(None, None, {}) == config.load("quick", None, {})


def test_a_configuration_is_plain_data_that_goes_to_any_process():
    made = config.load("adaptive", None, {"eps": ["mark/3", "8/255"]})
    assert pickle.loads(pickle.dumps(made)) == made


def test_an_edition_is_of_attackers_that_nobody_changed(load):
    assert config.load("adaptive", None, {"n": 7, "threats": ["bpda"], "defenses": ["median"]}).edition == "adaptive 2"
    for change in ({"attacks": ["fgsm"]}, {"eot_samples": 1}):
        assert config.load("adaptive", None, change).edition == ""
    assert config.load("adaptive", None, {"worst_case": True}).edition == ""
    with pytest.raises(UserError, match=r"an edition is a preset's: .* cannot give one"):
        load("edition = 'adaptive 2'")


def test_loading_needs_no_torch():
    code = "import sys; from purification_bench.benchmark.run import config; made = config.load(None, None, {});"
    code += "from purification_bench.benchmark.run.override_tables import check_names; check_names(made.overrides);"
    subprocess.run([sys.executable, "-c", code + "sys.exit('torch' in sys.modules)"], check=True)


def test_a_file_overrides_the_preset_and_flags_override_both(load):
    made = load("n = 7\nseed = 3\neps = ['8/255', 0.1]", n=9, draws=None)
    assert (made.n, made.seed, made.draws) == (9, 3, 5)
    assert sizes(made, "fgsm") == sizes(made, "pgd", threat="bpda") == (8 / 255, 0.1)


def test_one_list_of_sizes_serves_every_attack():
    made = config.load("quick", None, {"eps": ["0.1", 0.1, "0.3"]})
    assert sizes(made, "anything") == (0.1, 0.3)


def test_the_datasets_own_grid_is_used_where_no_size_is_said():
    assert sizes(config.load("standard", None, {}), "apgd") == (0.5,)


def test_sizes_may_be_shares_of_the_mark():
    made = config.load("quick", None, {"eps": ["mark/3", "0.1", "mark"]})
    assert sizes(made, "pgd") == (0.1, 0.3)
    assert sizes(made, "pgd", mark=0.1) == (0.1 / 3, 0.1)


@pytest.mark.parametrize("mark", [0.3, 8 / 255, 1 / 3])
def test_a_mark_is_itself_to_the_last_bit_and_a_share_is_its_nearest_number(mark):
    (whole, half, third) = sizes(config.load("quick", None, {"eps": ["mark", "mark/2", "mark/3"]}), "pgd", mark=mark)
    assert (whole, half) == (mark, mark / 2)
    assert third == pytest.approx(mark / 3, rel=1e-15)


def test_sizes_may_differ_by_dataset_attack_and_threat(load):
    made = load("""
        eps = [0.2]
        [[override]]
        dataset = "mnist"
        eps = [0.4]
        [[override]]
        dataset = "mnist"
        attack = "fgsm"
        eps = [0.3]
        [[override]]
        threat = "bpda"
        dataset = "mnist"
        attack = ["fgsm", "pgd"]
        eps = ["mark/2"]
    """)
    assert [sizes(made, attack) for attack in ("fgsm", "pgd")] == [(0.3,), (0.4,)]
    assert [sizes(made, attack, "fashion_mnist") for attack in ("fgsm", "pgd")] == [(0.2,), (0.2,)]
    assert [sizes(made, attack, threat="bpda") for attack in ("fgsm", "noise")] == [(0.15,), (0.4,)]


WHITEBOX = """
    n = 50
    threats = ["adaptive"]
    eot_samples = 10
    [[override]]
    defense = "median"
    threat = "whitebox"
    n = 5
    eot_samples = 1
    attacks = ["fgsm"]
    [[override]]
    threat = "whitebox"
    n = 20
    attacks = ["pgd[steps=3]"]
    eot_samples = 4
    [[override]]
    defense = ["median", "binarize"]
    n = 30
    [[override]]
    defense = "binarize"
    n = 10
    draws = 3
    latency_batch = 4
"""


def test_the_override_with_the_most_selectors_holds_and_of_these_the_last(load):
    made = load(WHITEBOX)
    assert made.threats == adaptive()
    assert [made.n_of(name, "whitebox") for name in ("none", "median", "binarize")] == [20, 5, 10]
    assert [made.n_of(name, "bpda") for name in ("none", "median", "binarize")] == [50, 30, 10]
    assert [made.attacks_of(name, "whitebox") for name in ("cae", "median")] == [("pgd[steps=3]",), ("fgsm",)]
    assert made.attacks_of("cae", "graybox") == made.attacks
    assert [made.eot_samples_of(name, "whitebox") for name in ("none", "median")] == [4, 1]
    assert made.eot_samples_of("median", "bpda") == 10
    assert [made.draws_of(name) for name in ("median", "binarize")] == [5, 3]
    assert [made.latency_batch_of(name) for name in ("median", "binarize")] == [256, 4]


def test_a_flag_counts_everywhere_and_leaves_the_rest(load):
    made = load(WHITEBOX, n=9, attacks=["fgsm"])
    assert {made.n_of(name, threat) for name in ("none", "median") for threat in adaptive()} == {9}
    assert made.attacks_of("cae", "whitebox") == ("fgsm",)
    assert made.eot_samples_of("none", "whitebox") == 4


def test_a_files_top_level_counts_over_the_presets_overrides_and_its_own_overrides_over_that(load):
    preset = config.load("quick", None, {})
    assert (preset.n_of("defensegan"), preset.n_of("cae", "bpda")) == (50, 50)
    made = load("n = 60\n[[override]]\ndefense = 'median'\nn = 7")
    assert [made.n_of(*place) for place in (("defensegan",), ("cae", "bpda"), ("median",))] == [60, 60, 7]
    assert made.draws_of("defensegan") == preset.draws_of("defensegan") == 1


def test_what_a_file_says_holds_however_closely_the_preset_looks(load):
    preset = config.load("quick", None, {})
    made = load("[[override]]\nattack = 'fgsm'\neps = [0.25]\n[[override]]\nthreat = 'whitebox'\nn = 3")
    assert sizes(made, "fgsm") == sizes(made, "fgsm", threat="bpda") == (0.25,)
    assert sizes(made, "pgd") == sizes(preset, "pgd")
    assert (preset.n_of("defensegan", "whitebox"), made.n_of("defensegan", "whitebox")) == (20, 3)


def test_a_stand_in_may_be_taken_back_under_a_threat(load):
    made = load("""
        [[override]]
        defense = "defensegan"
        stand_in = { restarts = 5 }
        [[override]]
        defense = "defensegan"
        threat = "latent"
        stand_in = {}
    """)
    assert made.stand_in_of("defensegan", "bpda") == {"restarts": 5}
    assert made.stand_in_of("defensegan", "latent") == made.stand_in_of("puvae", "bpda") == {}


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"draws": 256}, "draws in command line must be a whole number of at least 1 and at most 255, not 256"),
        ({"eot_samples": 0}, "must be a whole number of at least 1, not 0"),
        ({"n": True}, "n in command line must be a whole number of at least 1, not True"),
        ({"n": 8.0}, "not 8.0"),
        ({"seed": "0"}, "seed in command line must be a whole number, not '0'"),
        ({"latency": 1}, "latency in command line must be true or false, not 1"),
        ({"device": 0}, "device in command line must be a word, not 0"),
        ({"attacks": []}, "attacks in command line must be a list of at least one name, not []"),
        ({"threats": []}, "threats in command line must be a list of at least one name, not []"),
        ({"defenses": "cae"}, "defenses in command line must be a list of names, not 'cae'"),
        ({"eps": []}, "eps in command line must be a list of sizes, not []"),
        ({"eps": 0.3}, "must be a list of sizes, not 0.3"),
        ({"eps": [float("inf")]}, "eps in command line must be sizes that are not negative"),
        ({"eps": ["mark/0"]}, "such as 0.3, 8/255, mark or mark/3, not 'mark/0'"),
        ({"eps": ["mark/-3"]}, "not 'mark/-3'"),
        ({"eps": ["mark/"]}, "not 'mark/'"),
        ({"eps": ["mark/nan"]}, "not 'mark/nan'"),
        ({"eps": ["mark/1e-320"]}, "not 'mark/1e-320'"),
        ({"eps": ["marks"]}, "not 'marks'"),
        ({"threats": ["greybox"]}, "unknown threat in command line: 'greybox'; did you mean 'graybox'"),
        ({"overrides": []}, "unknown configuration key in command line: 'overrides'; did you mean 'override'"),
        ({"threat": {"bpda": {"n": 5}}}, "[threat] tables in command line are no longer read: write [[override]] with"),
        ({"budget": {"median": {"n": 7}}}, 'write [[override]] with defense = "NAME", threat = "NAME" or both'),
        ({"eps": {"mnist": {"pgd": [0.3]}}}, 'write [[override]] with dataset = "NAME", attack = "NAME" or both'),
    ],
)
def test_values_of_the_wrong_kind_are_refused(flags, message):
    with pytest.raises(UserError) as refused:
        config.load("quick", None, flags)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ({"defence": "median", "n": 7}, "unknown key of override 2 of command line: 'defence'; did you mean 'defense'"),
        ({"defense": "median", "unroll": 1}, "unknown key of override 2 of command line: 'unroll'"),
        ({"defense": "median", "n": 0}, "n in override 2 of command line must be a whole number of at least 1, not 0"),
        ({"defense": 7, "n": 3}, "defense in override 2 of command line must be a list of at least one name, not 7"),
        ({"attack": "pgd", "eps": ["much"]}, "eps in override 2 of command line must be sizes"),
        ({"threat": "adaptive", "n": 5}, "unknown threat in override 2 of command line: 'adaptive'. Valid: "),
        ({"n": 7}, "is for nothing: give it one of defense, threat, attack, dataset, or write it at the top level"),
        ({"defense": "median"}, "override 2 of command line says nothing: give it one of n, draws,"),
        (
            {"defense": "median", "threat": "bpda", "draws": 2},
            "draws in override 2 of command line cannot differ by threat. Valid: defense",
        ),
        (
            {"dataset": "mnist", "n": 5},
            "n in override 2 of command line cannot differ by dataset. Valid: defense, threat",
        ),
        ({"defense": "median", "eps": [0.1]}, "cannot differ by defense. Valid: threat, attack, dataset"),
        ({"threat": "bpda", "stand_in": {"steps": 2}}, "has options of a defense: name it with defense = ..."),
        ({"defense": "median", "stand_in": {"steps": [2]}}, "must be a table of options, not {'steps': [2]}"),
        (7, "override in command line must be tables, [[override]], not [{"),
    ],
)
def test_bad_overrides_are_told(override, message):
    first = {"defense": "cae", "n": 5}
    with pytest.raises(UserError) as refused:
        config.load(None, None, {"override": [first, override]})
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ({"defense": "medium", "n": 4}, "unknown defense in an override: 'medium'; did you mean 'median'"),
        ({"attack": ["pgd", "fgms"], "eps": [0.1]}, "unknown attack in an override: 'fgms'; did you mean 'fgsm'"),
        ({"dataset": "mnits", "eps": [0.1]}, "unknown dataset in an override: 'mnits'; did you mean 'mnist'"),
    ],
)
def test_overrides_for_what_is_not_registered_are_refused(override, message):
    with pytest.raises(UserError, match=message):
        check_names(config.load(None, None, {"override": [override]}).overrides)
