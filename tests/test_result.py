"""Results: what is stored reads back, and what is broken is told from what is not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from make_results import latency, result

from purification_bench.leaderboard.results.errors import StoreError
from purification_bench.leaderboard.results.result import Result, ResultError, Verdicts

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


def _changed(**changes):
    return json.dumps({**json.loads(result("cae", "fgsm", 0.3, adversarial=(1, 0, 1, 0)).dumps()), **changes})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        result().dumps()[:-40],
        _changed(key="0" * 64),
        _changed(clean={"draws": 1, "bits": "AAAA"}),
        _changed(clean={"draws": 1, "bits": "not base64!"}),
        _changed(clean={"draws": 1, "coding": "zlib", "bits": "AAAA"}),
        _changed(identity={"kind": "accuracy", "n": 4}),
    ],
)
def test_what_is_broken_is_refused(text):
    with pytest.raises(ResultError):
        Result.loads(text)


def test_a_result_of_a_later_version_is_no_damage():
    with pytest.raises(StoreError, match="schema 99"):
        Result.loads(_changed(schema=99))
