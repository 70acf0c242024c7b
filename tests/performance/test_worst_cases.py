"""The adaptive worst case: the full grid, as before, and the worst case alone."""

from __future__ import annotations

import numpy as np
import pytest
from settings import N

import purification_bench as pb
from purification_bench.leaderboard.judging.aggregate import robust_means
from purification_bench.leaderboard.judging.layout import lay_out

DEFENSES = ("cae", "cae[latent_dim=32,noise=0.1]", "puvae")


def robust(defense: str, folder, *, worst_case: bool):
    """Return each image's robust share at the mark, under the adaptive preset's attacks."""
    results = pb.run(
        "adaptive",
        datasets="mnist",
        defenses=[defense],
        references=[],
        n=N,
        eot_samples=5,
        latency=False,
        worst_case=worst_case,
        out=folder,
        progress=False,
    )
    (board,) = lay_out(results.results)
    return robust_means(board.rows[defense], board.headline(board.rows[defense], board.mark))


@pytest.mark.parametrize("defense", DEFENSES)
@pytest.mark.parametrize("side", ["full grid", "worst case"])
def test_adaptive(defense, side, measure, outputs, folder, benchmark):
    benchmark.group = f"adaptive worst case of {defense}"
    worst_case = side == "worst case"
    means = measure(lambda: robust(defense, folder(), worst_case=worst_case), rounds=1, warm_up=0, side=side, n=N)
    benchmark.extra_info["robust"] = float(np.mean(means))
    if worst_case:
        before = outputs.pop(defense)
        gain = int((means > before).sum()), int((means < before).sum())
        assert abs(gain[0] - gain[1]) <= 2 * np.sqrt(max(1, sum(gain))) + 1
    else:
        outputs[defense] = means
