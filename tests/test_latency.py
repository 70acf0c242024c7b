"""Latency: what is timed, how often, and on which device."""

from __future__ import annotations

import time

import pytest
import torch

from purification_bench.benchmark.run import latency
from purification_bench.defenses import Defense
from purification_bench.defenses.base import DefendedClassifier
from purification_bench.defenses.none import NoDefense

CPU = torch.device("cpu")


class Slow(Defense):
    """Takes five milliseconds, or as long as told."""

    def __init__(self, seconds=0.005):
        super().__init__()
        self.seconds, self.calls = seconds, 0

    def purify(self, x):
        self.calls += 1
        time.sleep(self.seconds)
        return x


@pytest.fixture
def measured(shapes, monkeypatch):
    monkeypatch.setattr(latency, "MAX_CALLS", 30)
    images, classifier = shapes
    return latency.measure({"none": NoDefense(), "slow": Slow()}, classifier, images.x, 8, CPU)


def test_every_part_is_timed_as_often(measured):
    for timed in measured.values():
        assert {part["calls"] for part in timed["single"].values()} == {30}


def test_a_machine_that_slows_down_is_told_of():
    steady, slowing = (latency._percentiles(seconds)["spread"] for seconds in ([0.01] * 40, [0.01] * 20 + [0.02] * 20))
    assert steady == 0
    assert slowing > 0.5


def test_the_purifiers_time_is_the_purifiers(measured):
    slow, none = measured["slow"]["single"], measured["none"]["single"]
    assert slow["purifier"]["p50_ms"] >= 5
    assert slow["end_to_end"]["p50_ms"] >= 5
    assert none["purifier"]["p50_ms"] < 1
    assert slow["purifier"]["p90_ms"] >= slow["purifier"]["p50_ms"]


def test_throughput_and_memory_are_stated_with_their_batch(measured):
    offline = measured["slow"]["offline"]
    assert offline["batch"] == 8
    assert 0 < offline["images_per_second"] < 8 / 0.005
    assert measured["slow"]["peak_memory_mib"] > 10


def test_slow_defenses_are_called_at_least_twenty_times(shapes, monkeypatch):
    monkeypatch.setattr(latency, "MAX_SECONDS", 0.01)
    images, classifier = shapes
    timed = latency.measure({"slow": Slow()}, classifier, images.x, 4, CPU)
    assert timed["slow"]["single"]["purifier"]["calls"] == 20


def test_slow_defenses_are_warmed_up_for_seconds_others_for_ten_calls(shapes, monkeypatch):
    monkeypatch.setattr(latency, "WARM_UP_SECONDS", 0.5)
    images, classifier = shapes
    slow, quick = Slow(0.3), Slow(0)
    latency._warm_up([DefendedClassifier(classifier, each) for each in (slow, quick)], images.x, CPU)
    assert (slow.calls, quick.calls) == (2, 10)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_memory_is_the_devices_on_cuda(shapes):
    images, classifier = shapes
    timed = latency.measure({"none": NoDefense()}, classifier.cuda(), images.x, 8, torch.device("cuda"))
    assert timed["none"]["peak_memory_mib"] > 0
