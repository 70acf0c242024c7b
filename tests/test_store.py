"""The store: whole files or none, and nothing lost."""

from __future__ import annotations

import json

import numpy as np
import pytest
from make_results import result

from purification_bench.leaderboard.results.errors import StoreError
from purification_bench.leaderboard.results.store import EXAMPLES, LEADERBOARD, REPRODUCTION, Store


@pytest.fixture
def store(tmp_path):
    made = Store(tmp_path / "results")
    made.prepare()
    return made


def test_what_is_put_is_got(store):
    made = result("cae", "fgsm", 0.3, adversarial=(1, 0, 1, 0))
    path = store.put(made)
    assert path.name.startswith("mnist-model_a-cae-fgsm_0.3-")
    assert store.get(made.identity, made.key).dumps() == made.dumps()
    assert [r.key for r in store.results()] == [made.key]


def test_a_cell_that_is_not_there_is_none(store):
    assert store.get(result().identity, result().key) is None


def test_a_corrupt_file_is_set_aside_and_said_so(store):
    path = store.put(result())
    path.write_text(path.read_text()[:100])
    assert store.get(result().identity, result().key) is None
    aside, reason = store.set_aside[0]
    assert aside.is_file()
    assert not path.exists()
    assert "not a stored result" in reason


def test_a_result_that_lacks_a_fact_is_set_aside_before_anybody_asks_for_it(store):
    path = store.put(result())
    row = json.loads(path.read_text())
    del row["facts"]["num_classes"]
    path.write_text(json.dumps(row))
    assert list(store.results()) == []
    assert "num_classes" in store.set_aside[0][1]


def test_a_result_of_a_later_version_is_named_kept_and_blocks_no_other(store):
    later, made = store.put(result("later")), result()
    store.put(made)
    row = later.read_text().replace('"schema": 4', '"schema": 5')
    later.write_text(row)
    for _ in range(2):
        assert [r.key for r in store.results()] == [made.key]
    ((named, reason),) = store.set_aside
    assert named == later
    assert "schema 5" in reason
    assert later.read_text() == row


def test_a_result_of_a_later_version_is_not_computed_anew(store):
    made = result()
    path = store.put(made)
    path.write_text(path.read_text().replace('"schema": 4', '"schema": 5'))
    with pytest.raises(StoreError, match=path.name):
        store.get(made.identity, made.key)


def test_half_written_files_are_cleared(store):
    leftover = store.cells / "x.json.999999999.partial"
    leftover.write_text("{")
    store.prepare()
    assert not leftover.exists()


def test_examples_are_kept_beside_the_result(store):
    image = np.arange(4, dtype=np.uint8).reshape(1, 1, 2, 2)
    store.put(result(), dict.fromkeys(EXAMPLES, image))
    assert (store.examples_of(result())["clean"] == image).all()
    assert store.examples_of(result("none")) is None


def test_damaged_examples_are_set_aside(store):
    store.put(result(), dict.fromkeys(EXAMPLES, np.zeros((1, 1, 2, 2), np.uint8)))
    (file,) = store.examples.iterdir()
    file.write_bytes(file.read_bytes()[:200])
    assert store.examples_of(result()) is None
    assert len(store.set_aside) == 1


def test_a_store_that_is_only_read_renames_nothing(store):
    path = store.put(result())
    path.write_text("{")
    reader = Store(store.root)
    assert list(reader.results()) == []
    assert reader.set_aside[0][0] == path
    assert path.is_file()


def test_commands_are_remembered_once(store):
    for command in ("bench run", "bench run -n 9", "bench run"):
        store.record_command(command)
    assert store.commands() == ["bench run", "bench run -n 9"]


@pytest.mark.parametrize(
    ("commands", "kind"),
    [
        ([], LEADERBOARD),
        (["bench run", "bench run -n 9"], LEADERBOARD),
        (["bench reproduce --table 1a"], REPRODUCTION),
        (["bench run", "bench reproduce"], LEADERBOARD),
    ],
)
def test_a_store_is_of_the_kind_of_the_command_that_alone_filled_it(store, commands, kind):
    for command in commands:
        store.record_command(command)
    assert store.kind == kind


def test_a_folder_without_results_is_refused(tmp_path):
    with pytest.raises(StoreError, match="holds no results"):
        list(Store(tmp_path).results())


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        Store(tmp_path / "file" / "results").prepare()
