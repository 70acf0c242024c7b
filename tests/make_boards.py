"""A defense called "it", attacked by hand, on a board of its own."""

from __future__ import annotations

import numpy as np
from make_results import result

from purification_bench.leaderboard.judging.layout import lay_out

N = 100


def bits(right):
    return np.arange(N) < right


def cell(attack, eps, right, estimator="full", **more):
    return result("it", attack, eps, clean=bits(95), adversarial=bits(right), estimator=estimator, **more)


def board_of(*results):
    clean = result("it", clean=bits(95))
    (board,) = lay_out([clean, *results])
    return board, board.rows["it"]


BLIND = [cell("fgsm", eps, 95, "bare") for eps in (0.1, 0.3)]
"""Gray-box attacks that break nothing: without any there is no headline."""
CONTROL = result("none", "pgd", 0.3, clean=bits(99), adversarial=bits(0), estimator="bare")
"""The attack breaks what has no defense: without that nothing is known to work."""


def judged_board_of(*results):
    return board_of(*BLIND, CONTROL, *results)
