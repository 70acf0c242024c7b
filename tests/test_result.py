"""Results: what is stored reads back, and what is broken is told from what is not."""

from __future__ import annotations

import functools
import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from make_results import latency, result

from purification_bench.leaderboard.results.canonical import digest
from purification_bench.leaderboard.results.declared import DefenseTraits
from purification_bench.leaderboard.results.errors import ResultError, StoreError
from purification_bench.leaderboard.results.result import Result
from purification_bench.leaderboard.results.verdicts import Verdicts

STORED = sorted((Path(__file__).parent / "data").glob("result-v*.json"))


@pytest.mark.parametrize("path", STORED, ids=lambda path: path.stem)
def test_every_schema_version_loads_for_ever(path):
    loaded = Result.loads(path.read_text())
    assert loaded.ok
    assert loaded.adversarial.reported.sum() > 0


@pytest.mark.parametrize(
    "made",
    [
        result(),
        result("none", "fgsm", 0.3, clean=(1,) * 13, adversarial=(1, 0) * 6 + (1,)),
        result("cae", "pgd", 0.3, clean=(5, 4, 0), adversarial=(3, 2, 0), draws=5),
        result(status="error", error="RuntimeError: no"),
        latency(),
    ],
    ids=["clean", "attacked", "draws", "error", "latency"],
)
def test_what_is_stored_reads_back(made):
    loaded = Result.loads(made.dumps())
    assert loaded.dumps() == made.dumps()
    assert loaded.key == made.key


@pytest.mark.parametrize("n", [1, 7, 8, 9, 10000])
def test_bits_are_packed_without_loss(n):
    bits = np.random.RandomState(n).randint(0, 2, n).astype(np.uint8)
    unpacked = Verdicts.from_json(Verdicts(1, bits, bits).to_json(), n)
    assert (unpacked.reported == bits).all()


def _row():
    return json.loads(result("cae", "fgsm", 0.3, adversarial=(1, 0, 1, 0)).dumps())


def _changed(**changes):
    return json.dumps({**_row(), **changes})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        "\ud800",
        result().dumps()[:-40],
        _changed(key="0" * 64),
        _changed(clean={"draws": 1, "bits": "AAAA"}),
        _changed(clean={"draws": 1, "bits": "not base64!"}),
        _changed(clean={"draws": 1, "coding": "zlib", "bits": "AAAA"}),
        _changed(clean={"draws": 1}),
        _changed(identity={"kind": "accuracy", "n": 4}),
    ],
)
def test_what_is_broken_is_refused(text):
    with pytest.raises(ResultError):
        Result.loads(text)


GONE = object()
DAMAGE = [
    *((("facts", fact), GONE) for fact in ("eps_mark", "num_classes", "stochastic", "differentiable", "classifier")),
    (("facts",), {}),
    (("facts", "eps_mark"), "0.3"),
    (("facts", "eps_mark"), 0),
    (("facts", "num_classes"), None),
    (("facts", "stochastic"), "no"),
    (("facts", "differentiable"), 1),
    (("facts", "weights"), {"command": "bench train ..."}),
    (("identity", "n"), "4"),
    (("identity", "n"), 0),
    (("identity", "draws"), 0),
    (("identity", "dataset"), "mnist"),
    (("identity", "defense", "options"), GONE),
    (("identity", "classifier", "weights"), GONE),
    (("identity", "attack", "threat", "eps"), GONE),
    (("identity", "attack", "threat", "norm"), "l7"),
    (("identity", "protocol"), None),
    (("status",), "fine"),
    (("environment", "versions"), {}),
    (("environment", "device"), GONE),
    (("probes", "zero_gradient_share"), "half"),
    (("seconds",), []),
    (("adversarial_set",), {"key": "k"}),
    (("clean", "draws"), 0),
    (("clean",), None),
    (("adversarial",), None),
    (("latency",), {"single": {}}),
    (("created",), GONE),
    (("declared",), GONE),
    (("declared", "threat"), None),
    (("declared", "threat", "gradient"), "guessed"),
    (("declared", "threat", "judges"), GONE),
    (("declared", "attack", "iterates"), "many"),
    (("declared", "defense"), None),
]


@pytest.mark.parametrize(("path", "value"), DAMAGE, ids=lambda part: "-".join(part) if isinstance(part, tuple) else "")
def test_a_field_that_is_not_what_it_should_be_is_refused(path, value):
    row = _row()
    *above, last = path
    part = functools.reduce(lambda inner, name: inner[name], above, row)
    part[last] = value
    if value is GONE:
        del part[last]
    row["key"] = digest(row["identity"])
    with pytest.raises(ResultError):
        Result.loads(json.dumps(row))


def test_verdicts_of_more_draws_than_there_were_are_refused():
    made = result("cae", "fgsm", 0.3, clean=(5, 4, 0), adversarial=(3, 2, 0), draws=5)
    with pytest.raises(ResultError, match="5 draws where 4 are meant"):
        Verdicts.from_json({**made.clean.to_json(), "draws": 4}, 3)
    with pytest.raises(ResultError, match="3 images where 4 are meant"):
        Verdicts.from_json(made.clean.to_json(), 4)


def test_a_timed_cell_without_its_times_is_refused():
    row = json.loads(latency().dumps())
    for broken in (None, {**row["latency"], "offline": {"batch": 256}}):
        with pytest.raises(ResultError):
            Result.loads(json.dumps({**row, "latency": broken}))


def test_a_result_of_a_later_version_is_no_damage():
    with pytest.raises(StoreError, match="schema 99"):
        Result.loads(_changed(schema=99))


def test_what_a_result_declares_is_no_part_of_its_key():
    made = result("cae", "fgsm", 0.3, adversarial=(1, 0, 1, 0))
    other = replace(made, declared=replace(made.declared, defense=DefenseTraits(undefended=True)))
    assert other.key == made.key
    assert Result.loads(other.dumps()).declared == other.declared != made.declared


def test_files_of_every_schema_declare_the_same():
    assert len({Result.loads(path.read_text()).declared for path in STORED}) == 1


@pytest.mark.parametrize("path", STORED[:2], ids=lambda path: path.stem)
def test_what_was_written_before_schema_3_declares_by_its_names(path):
    declared = Result.loads(path.read_text()).declared
    assert (declared.threat.word, declared.threat.gradient) == ("graybox", "classifier")
    assert declared.attack.single_step and not declared.attack.iterates
    assert not declared.defense.undefended


@pytest.mark.parametrize(
    ("attack", "options", "estimator", "iterates", "needs"),
    [
        ("pgd", {"steps": 40}, "bare", True, "gradient"),
        ("pgd", {"steps": 1}, "full", False, "gradient"),
        ("autoattack", {}, "full", True, "gradient"),
        ("somebodys", {"steps": 20}, "full", True, "gradient"),
        ("somebodys", {}, "full", False, "gradient"),
        ("somebodys", {"steps": 20}, "queries", True, "queries"),
        ("noise", {}, "bare", False, "nothing"),
    ],
)
def test_many_steps_are_known_by_name_and_options(attack, options, estimator, iterates, needs):
    declared = result("cae", attack, 0.3, options=options, estimator=estimator).declared.attack
    assert (declared.iterates, declared.needs) == (iterates, needs)


def test_an_estimator_that_nobody_knows_is_refused():
    row = {**_row(), "schema": 2}
    row["identity"]["attack"]["estimator"] = "guessed"
    row["key"] = digest(row["identity"])
    del row["declared"]
    with pytest.raises(ResultError, match="guessed"):
        Result.loads(json.dumps(row))


def test_a_thousand_results_load_in_two_seconds():
    bits = np.arange(1000) % 2
    text = result("cae", "fgsm", 0.3, clean=bits, adversarial=1 - bits).dumps()
    begun = time.perf_counter()
    for _ in range(1000):
        Result.loads(text)
    assert time.perf_counter() - begun < 2
