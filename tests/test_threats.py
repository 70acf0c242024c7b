"""Runs under several threats, end to end."""

from __future__ import annotations

import re

import numpy as np
import pytest
from conftest import PLUGINS, SMALL_RUN

from purification_bench.benchmark import cli
from purification_bench.leaderboard.judging.aggregate import accuracy, robust_accuracy
from purification_bench.leaderboard.judging.layout import lay_out
from purification_bench.leaderboard.results.store import Store

NOISY = str(PLUGINS / "noisy.py")


CONFIG = 'defenses = ["noisy"]\nbatch_size = 16\neot_samples = 3\nsubstitute = "matched"\n'
EVERY = "graybox,transfer,adaptive,fixed-seed"
ATTACKS = "fgsm,pgd[steps=4],square[queries=20]"


def words(config, *more):
    config.write_text(CONFIG)
    return ["run", "--config", str(config), "--plugin", NOISY, *SMALL_RUN, *map(str, more)]


@pytest.fixture
def run(bench, tmp_path):
    return lambda *more: bench(*words(tmp_path / "threats.toml", *more))


def board_of(folder):
    (board,) = lay_out(Store(folder / "results").results())
    return board


@pytest.fixture(scope="module")
def mixture(tmp_path_factory):
    """The folder of one run of all threats, which tests only read, and its words."""
    folder = tmp_path_factory.mktemp("mixture")
    command = words(folder / "t.toml", "--threat", EVERY, "--attacks", ATTACKS, "--out", folder / "results")
    assert cli.main(command) == 0
    return folder, command


@pytest.mark.pictures
def test_a_mixture_of_threats_is_run_and_reported(mixture):
    folder, _ = mixture
    board = board_of(folder)
    assert [threat.word for threat in board.threats] == [
        "graybox",
        "blackbox",
        "bpda",
        "fixed-seed",
        "soft",
        "transfer",
        "whitebox",
    ]
    fitting = {name: {column.threat.word for column in row.cells} for name, row in board.rows.items()}
    assert fitting["noisy"] == {threat.word for threat in board.threats}
    assert fitting["binarize"] == {"graybox", "blackbox", "bpda", "transfer"}
    assert fitting["none"] == {"graybox", "blackbox", "bpda", "transfer", "whitebox"}
    page = (folder / "results" / "README.md").read_text()
    assert re.search(r"`binarize` +\| whitebox +\| none: it declares no gradient", page)
    for heading in ("Worst case by threat", "How they were attacked", "What each row is worth", "#### Audit"):
        assert heading in page
    assert (folder / "results" / "figures" / "gaps-shapes-matched-seed0.png").is_file()


def test_a_mixture_of_threats_resumes(mixture, bench):
    status, out, err = bench(*mixture[1])
    assert (status, err) == (0, "")
    assert "0 cells computed" in out


def test_a_defense_that_declares_no_gradient_is_refused_the_white_box_with_the_reason(bench, tmp_path):
    words = ("--defenses", "binarize[threshold=0.4]", "--threat", "whitebox", "--attacks", "fgsm", "--eps", "0.1")
    config = tmp_path / "alone.toml"
    config.write_text("references = []\n")
    status, _, err = bench("run", "--config", config, *words, "-n", "4", "--no-latency")
    assert status == 0
    assert "binarize[threshold=0.4] is judged without whitebox: it declares that it is not differentiable" in err


def test_where_nothing_hides_every_gradient_is_the_same(mixture):
    """Without a defense, gray-box, BPDA, white-box, and transfer from the same weights are one attack."""
    row = board_of(mixture[0]).rows["none"]
    for attack in ("fgsm", "pgd[steps=4]"):
        for eps in (0.1, 0.3):
            found = {
                c.threat.word: row.cells[c].adversarial.reported
                for c in row.cells
                if (c.attack, c.eps) == (attack, eps)
            }
            assert len(found) == 4
            for bits in found.values():
                assert np.array_equal(bits, found["graybox"])


def test_the_headline_is_at_most_what_is_claimed(mixture):
    board = board_of(mixture[0])
    for row in board.rows.values():
        headline = robust_accuracy(row, board.headline(row, 0.1)).value
        claimed = robust_accuracy(row, board.candidates(0.1)).value
        assert headline <= claimed + (0.1 if row.newest.facts["stochastic"] else 0)


def test_results_say_how_they_were_attacked(mixture):
    for result in Store(mixture[0] / "results").results():
        if result.attack is None:
            continue
        attack = result.identity["attack"]
        stochastic = result.facts["stochastic"]
        if attack["estimator"] == "full":
            assert attack["eot_samples"] == (3 if stochastic else 1)
            assert result.identity["batch"]["attack"] == (5 if stochastic else 16)
        if attack["estimator"] == "queries":
            assert 1 <= result.probes["queries_per_image"] <= 21 * attack["eot_samples"]
        if attack["estimator"] == "frozen":
            assert result.adversarial.draws == 1


def test_a_cheaper_form_is_attacked_and_the_defense_itself_is_judged(bench, tmp_path):
    config = tmp_path / "cheap.toml"
    config.write_text(
        'references = ["none"]\ndefenses = ["defensegan[steps=6,restarts=2]"]\nattacks = ["pgd[steps=2]"]\n'
        'threats = ["whitebox"]\nlatency = false\neps = ["mark"]\n'
        '[[override]]\ndefense = "defensegan"\nn = 8\ndraws = 1\n'
        '[[override]]\ndefense = "defensegan"\nthreat = "whitebox"\neot_samples = 1\n'
        "stand_in = { steps = 2, restarts = 1 }\n"
    )
    assert bench("run", "--config", config, "-n", "8")[0] == 0
    results = [r for r in Store(tmp_path / "results").results() if r.attack and r.defense.startswith("defensegan")]
    assert [r.identity["attack"]["stand_in"] for r in results] == ["defensegan[restarts=1,steps=2]"]
    assert accuracy(results[0]) is not None


def test_sizes_made_together_are_those_made_alone(run, tmp_path):
    """FGSM's one gradient serves all sizes only where it draws no randomness of a defense."""
    noisy = ("--threat", "whitebox", "--attacks", "fgsm", "--defenses", "noisy")
    run(*noisy, "--eps", "0.1,0.3", "--out", "together")
    run(*noisy, "--eps", "0.3", "--out", "alone")
    sets = [
        {r.adversarial_set["sha256"] for r in Store(tmp_path / name).results() if r.defense == "noisy" and r.eps == 0.3}
        for name in ("together", "alone")
    ]
    assert sets[0] == sets[1]


def test_an_attack_may_be_handed_the_defense(run, tmp_path):
    status, _, err = run("--plugin", PLUGINS / "knows.py", "--attacks", "knows", "--threat", "whitebox", "--eps", "0.1")
    assert (status, err) == (0, "")
    found = {r.defense for r in Store(tmp_path / "results").results() if r.ok and r.attack == "knows"}
    assert {"none", "noisy"} <= found


def test_a_threat_that_no_attack_fits_is_said(run):
    _, _, err = run("--threat", "blackbox", "--attacks", "fgsm")
    assert "nothing runs under blackbox: no attack takes its queries; name one in an [[override]] of blackbox" in err


def test_a_substitute_without_weights_is_left_out_and_said(bench, tmp_path):
    config = tmp_path / "transfer.toml"
    config.write_text('substitute = "conv8"\nthreats = ["transfer"]\ndefenses = []\nreferences = ["none"]\n')
    status, _, err = bench("run", "--config", config, "-n", "8", "--attacks", "fgsm", "--eps", "0.1", "--no-latency")
    assert status == 0
    assert "mnist is judged without transfer" in err
