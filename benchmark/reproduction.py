"""The runs that re-make the seed paper's tables and figures (Mandal 2023), and what the paper does not show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from purification_bench.benchmark.run import config
from purification_bench.benchmark.run.config import RunConfig
from purification_bench.leaderboard.mandal2023.published import AUTO_ENCODERS, sizes
from purification_bench.leaderboard.mandal2023.table_3 import HALF_SIZE

PRESET = "mandal2023"

FGSM_SIZES, PGD_SIZES = sizes("1a"), sizes("1b")
PAPERS_FGSM, PAPERS_PGD = AUTO_ENCODERS["fgsm"], AUTO_ENCODERS["pgd"]
BETTER_FGSM, BETTER_PGD = "cae[latent_dim=32,noise=0.1]", "cae[against=pgd,eps=0.15,latent_dim=32,noise=0.1]"
CAES = [PAPERS_FGSM, BETTER_FGSM, PAPERS_PGD, BETTER_PGD, "cae_multi"]
COMPARED = [PAPERS_FGSM, BETTER_FGSM, "defensegan", "puvae"]
ORIGINAL_DEFENSEGAN = "defensegan[steps=200,restarts=10,z_init=0.0884]"
"""The published search: 200 steps from N(0, 1/128), 10 restarts."""
OTHER_OPTIONS = ["defensegan[steps=10]", "puvae[code_scale=1]", "puvae[code_scale=0.5]"]
"""Table 3's purifiers where they follow the attacked image less closely, or (``code_scale=1``) more."""

SLOW_ON_GPU = 5
"""A GPU judges a slow defense on so many times the images."""


@dataclass(frozen=True)
class Part:
    """One run: what differs from the preset."""

    table: str
    """A key of ``leaderboard.mandal2023.tables.SECTIONS``."""
    asked: Mapping[str, Any]
    n: int
    n_cpu: int
    """Images where there is no GPU."""
    needs_training: bool = False
    """Its classifier is not shipped: the part is left out where nobody trained it."""
    budget: Mapping[str, int] = field(default_factory=dict)
    """Images of slow defenses in this part, instead of the preset's."""


_RELEASED = {"classifiers": ["conv8"], "protocol": "as-released", "batch_size": 64}
_ABLATED = {**_RELEASED, "datasets": ["mnist"]}

PARTS: Sequence[Part] = (
    Part("1a", {"attacks": ["fgsm"], "eps": FGSM_SIZES}, 10000, 10000),
    Part("1a", {**_RELEASED, "attacks": ["fgsm_released"], "eps": FGSM_SIZES}, 1000, 1000, needs_training=True),
    Part(
        "1a",
        {**_ABLATED, "attacks": ["fgsm_released[clip=false]", "fgsm_released[loss=cross_entropy]"], "eps": FGSM_SIZES},
        1000, 1000, needs_training=True,
    ),
    Part(
        "1a", {**_ABLATED, "attacks": ["fgsm_released"], "eps": FGSM_SIZES, "protocol": "as-released-eval"},
        1000, 1000, needs_training=True,
    ),
    Part("1b", {"attacks": ["pgd"], "eps": PGD_SIZES}, 10000, 1000),
    Part("1b", {**_RELEASED, "attacks": ["pgd_released"], "eps": PGD_SIZES}, 1000, 1000, needs_training=True),
    Part(
        "1b", {**_ABLATED, "attacks": ["pgd_released"], "eps": PGD_SIZES, "protocol": "as-released-eval"},
        1000, 200, needs_training=True,
    ),
    Part("2", {"defenses": [PAPERS_FGSM, BETTER_FGSM], "attacks": ["fgsm"], "eps": [0.6]}, 10000, 10000),
    Part("2", {"defenses": [PAPERS_PGD, BETTER_PGD], "attacks": ["pgd"], "eps": [0.15]}, 10000, 1000),
    Part(
        "3",
        {"datasets": ["mnist"], "defenses": COMPARED, "attacks": ["fgsm"], "eps": [HALF_SIZE, 0.6], "latency": True},
        10000, 10000,
    ),
    Part(
        "3",
        {
            "datasets": ["mnist"], "defenses": [ORIGINAL_DEFENSEGAN], "attacks": ["fgsm"], "eps": [HALF_SIZE, 0.6],
            "latency": True,
        },
        1000, 20, budget={"defensegan": 20},
    ),
    Part(
        "3", {"datasets": ["mnist"], "defenses": OTHER_OPTIONS, "attacks": ["fgsm"], "eps": [HALF_SIZE, 0.6]},
        1000, 200, budget={"defensegan": 50},
    ),
    Part("matrix", {"defenses": CAES, "attacks": ["fgsm"], "eps": FGSM_SIZES}, 1000, 1000),
    Part(
        "matrix", {"defenses": CAES, "attacks": ["fgsm_predicted", "grey"], "eps": [0.6], "latency": True}, 1000, 1000,
    ),
    Part("matrix", {"defenses": CAES, "attacks": ["pgd"], "eps": PGD_SIZES}, 1000, 1000),
    Part(
        "adaptive",
        {"datasets": ["mnist"], "defenses": [*COMPARED, "cae_multi"], "threats": ["adaptive"]},
        1000, 200,
    ),
)  # fmt: skip


def configured(part: Part, dataset: str, n: int | None, device: torch.device, latency: bool) -> RunConfig | None:
    """Return a part's run on one dataset, on at most ``n`` images; None where the part is not of that dataset.

    Raises ``UserError`` for a device or number that no configuration can have.
    """
    base = config.load(PRESET, None, {**part.asked, "device": device.type})
    if dataset not in base.datasets:
        return None
    images = part.n if device.type == "cuda" else part.n_cpu
    at_most = images if n is None else min(n, images)
    budget = {}
    for name, own in base.budget.items():
        most = own.n if device.type == "cpu" or own.n is None else min(SLOW_ON_GPU * own.n, part.n)
        most = part.budget.get(name, most) if device.type == "cpu" else most
        budget[name] = own if most is None else replace(own, n=min(most, at_most))
    tables = {name: own if own.n is None else replace(own, n=min(own.n, at_most)) for name, own in base.threat.items()}
    return replace(base, datasets=(dataset,), n=at_most, budget=budget, threat=tables, latency=base.latency and latency)
