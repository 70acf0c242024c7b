"""Intervals and tests against SciPy and published worked examples."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from purification_bench.leaderboard.judging.statistics import compare, estimate, holm, mcnemar, sign_flip, wilson


@pytest.mark.parametrize(("k", "n"), [(0, 20), (1, 20), (15, 20), (20, 20), (873, 1000), (9984, 10000)])
def test_wilson_is_scipys(k, n):
    interval = stats.binomtest(k, n).proportion_ci(method="wilson")
    assert wilson(k / n, n) == pytest.approx((interval.low, interval.high), abs=1e-12)


def test_wilson_worked_example():
    """Newcombe 1998, Table I: 81 of 263 is 0.3080, Wilson 0.2553 to 0.3662; 15 of 148 is 0.0624 to 0.1605."""
    assert wilson(81 / 263, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(15 / 148, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)


def test_bits_are_counted_as_they_are():
    found = estimate(np.array([1.0] * 30 + [0.0] * 10))
    assert (found.value, found.n) == (0.75, 40)
    assert (found.low, found.high) == wilson(0.75, 40)


def test_draws_narrow_the_interval_by_the_effective_sample_size():
    means = np.array([0.5] * 20 + [0.6] * 20)
    found = estimate(means)
    effective = 0.55 * 0.45 / (means.var(ddof=1) / 40)
    assert (found.low, found.high) == pytest.approx(wilson(0.55, effective))
    assert found.high - found.low < 0.1


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_at_zero_and_one_the_sample_size_is_n(value):
    found = estimate(np.full(50, value))
    assert (found.low, found.high) == wilson(value, 50)


def test_mcnemar_worked_example():
    """Agresti 2002, section 10.1: 150 against 86 discordant; the exact p-value is two-sided binomial."""
    assert mcnemar(150, 86) == pytest.approx(stats.binomtest(86, 236).pvalue)
    assert mcnemar(150, 86) < 1e-4
    assert mcnemar(1, 7) == pytest.approx(0.0703, abs=5e-5)
    assert mcnemar(0, 0) == 1.0


def test_bits_are_compared_by_mcnemar_and_draws_by_permutation():
    first, second = np.array([1.0, 1, 1, 0, 1, 1]), np.array([0.0, 0, 1, 1, 0, 0])
    found = compare(first, second)
    assert (found.wins, found.losses, found.test) == (4, 1, "McNemar (exact)")
    assert found.p_value == mcnemar(4, 1)
    assert compare(first * 0.9, second).test == "permutation"


def test_the_permutation_test_is_exact_for_few_images():
    """Five differences of one sign: two of the 32 sign patterns are as extreme."""
    assert sign_flip(np.array([0.1, 0.2, 0.3, 0.4, 0.5])) == pytest.approx(2 / 32)
    assert sign_flip(np.zeros(9)) == 1.0


@pytest.mark.parametrize(("n", "draws", "shift"), [(12, 3, 0), (14, 10, 1), (200, 5, 0), (300, 10, 1)])
def test_the_permutation_test_is_scipys(n, draws, shift):
    """Exact against exact for few images; within the error of 20,000 resamples for many."""
    random = np.random.RandomState(n)
    difference = (random.randint(0, draws + 1, n) - random.randint(0, draws + 1, n) + shift) / draws
    reference = stats.permutation_test(
        (difference, np.zeros(n)), lambda a, b, axis: (a - b).mean(axis=axis), permutation_type="samples",
        vectorized=True, n_resamples=20000, rng=np.random.default_rng(0), batch=2000,
    ).pvalue  # fmt: skip
    tolerance = 1e-9 if n < 15 else 4 * np.sqrt(reference / 20000) + 1e-3
    assert sign_flip(difference) == pytest.approx(reference, abs=tolerance)


def test_holm_worked_example():
    """Holm 1979's procedure on .01, .04, .03, .005: .03, .06, .06, .02."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


def test_images_must_pair():
    with pytest.raises(ValueError, match="paired comparison"):
        compare(np.ones(3), np.ones(4))
