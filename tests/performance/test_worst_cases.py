"""The adaptive worst case: the full grid, as before, and the worst case alone."""

from __future__ import annotations

import numpy as np
import pytest
from settings import N

import purification_bench as pb
from purification_bench.leaderboard.judging.aggregate import robust_means
from purification_bench.leaderboard.judging.layout import lay_out

DEFENSES = ("cae[latent_dim=32,noise=0.1]", "puvae")
ATTACKS = ["fgsm", "pgd[steps=20]", "noise", "latent", "square[queries=100]", "hopskipjump[queries=100]"]
"""Those of the preset, with a tenth of its queries."""


def robust(defense: str, folder, *, worst_case: bool):
    """Return each image's robust share at the mark, under the adaptive preset's attacks."""
    results = pb.run(
        "adaptive",
        datasets="mnist",
        defenses=[defense],
        references=[],
        attacks=ATTACKS,
        n=N,
        eot_samples=5,
        latency=False,
        worst_case=worst_case,
        out=folder,
        progress=False,
    )
    (board,) = lay_out(results.results)
    (row,) = board.rows.values()
    return robust_means(row, board.headline(row, board.mark))


@pytest.mark.parametrize("side", ["full grid", "worst case"])
@pytest.mark.parametrize("defense", DEFENSES)
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
