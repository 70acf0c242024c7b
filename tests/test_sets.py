"""Adversarial sets on disk: capped, and safe to delete; where a run's time went."""

from __future__ import annotations

import os
import time

import pytest
import torch

from purification_bench.benchmark.run import adversarial
from purification_bench.benchmark.run.adversarial import AdversarialSet
from purification_bench.benchmark.run.profile import Profile
from purification_bench.leaderboard.results.store import Store

RUN = ("run", "--dataset", "shapes", "--classifier", "matched", "--defenses", "binarize", "--no-latency", "-n", "8")
FGSM = ("--threat", "graybox", "--attacks", "fgsm", "--eps", "0.1,0.3")


def made(number: int) -> AdversarialSet:
    x = torch.full((4, 1, 28, 28), number / 10)
    return AdversarialSet(f"{number:064d}", adversarial.pixels_digest(x), x, {}, 1.0)


@pytest.fixture
def store(tmp_path):
    found = Store(tmp_path)
    found.prepare()
    for number in range(3):
        adversarial.write(found, AdversarialSet(f"{number}" * 64, made(number).sha256, made(number).x_adv, {}, 1.0))
        path = found.adversarial / f"{str(number) * 16}.safetensors"
        os.utime(path, (1000 + number, 1000 + number))
    return found


def kept(store: Store) -> set[str]:
    return {path.name[0] for path in store.adversarial.glob("*.safetensors")}


def test_the_longest_unused_go_first(store):
    size = next(store.adversarial.glob("*.safetensors")).stat().st_size
    adversarial.trim(store, 3 * size)
    assert kept(store) == {"0", "1", "2"}
    assert adversarial.read(store, "0" * 64) is not None  # used: now the newest
    adversarial.trim(store, 2 * size)
    assert kept(store) == {"0", "2"}
    adversarial.trim(store, 0)
    assert kept(store) == set()


@pytest.mark.parametrize("said", ["much", "-1", "nan", "inf"])
def test_what_is_no_size_is_refused_before_anything_is_computed(said, bench, tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_ADVERSARIAL_GIB", said)
    status, _, err = bench(*RUN, *FGSM, "--out", tmp_path)
    assert (status, err.count("\n")) == (2, 1)
    assert "BENCH_ADVERSARIAL_GIB" in err and repr(said) in err
    assert not list((tmp_path / "cells").glob("*.json"))


def test_a_set_that_is_gone_is_made_again_to_the_same_numbers(bench, tmp_path):
    assert bench(*RUN, *FGSM, "--out", tmp_path)[0] == 0
    sets = {path.name: path.read_bytes() for path in (tmp_path / "adversarial").iterdir()}
    for path in (tmp_path / "adversarial").iterdir():
        path.unlink()
    for path in (tmp_path / "cells").glob("*binarize*fgsm*"):
        path.unlink()
    assert bench(*RUN, *FGSM, "--out", tmp_path)[0] == 0
    assert {path.name: path.read_bytes()[-3000:] for path in (tmp_path / "adversarial").iterdir()} == {
        name: content[-3000:] for name, content in sets.items()
    }


def test_a_profile_says_where_the_time_went(bench, tmp_path):
    status, out, _ = bench(*RUN, *FGSM, "--profile", "--out", tmp_path)
    assert status == 0
    for word in ("Where the time went", "attack", "purify", "harness", "The slowest units", "fgsm (graybox)"):
        assert word in out


def test_an_inner_phase_is_not_counted_twice():
    profile = Profile()
    with profile.phase("attack"):
        time.sleep(0.02)
        with profile.phase("purify"):
            time.sleep(0.05)
    assert 0.015 < profile.phases["attack"] < 0.045
    assert profile.phases["purify"] >= 0.05
    assert 0 <= profile.own < 0.02
