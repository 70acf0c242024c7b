"""The runs that re-make the seed paper's tables and figures (Mandal 2023), and what the paper does not show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from purification_bench.benchmark.run import config
from purification_bench.benchmark.run.config import RunConfig
from purification_bench.benchmark.run.overrides import Override
from purification_bench.leaderboard.mandal2023 import published as mandal2023
from purification_bench.leaderboard.mandal2023.table_3 import HALF_SIZE

PRESET = "mandal2023"

FGSM_SIZES, PGD_SIZES = mandal2023.sizes("1a"), mandal2023.sizes("1b")
PAPERS_FGSM, PAPERS_PGD = mandal2023.AUTO_ENCODERS["fgsm"], mandal2023.AUTO_ENCODERS["pgd"]
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
    overrides_cpu: tuple[Override, ...] = ()
    """What slow defenses have of their own where there is no GPU."""


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
        1000, 20, overrides_cpu=(Override(defense=("defensegan",), n=20),),
    ),
    Part(
        "3", {"datasets": ["mnist"], "defenses": OTHER_OPTIONS, "attacks": ["fgsm"], "eps": [HALF_SIZE, 0.6]},
        1000, 200, overrides_cpu=(Override(defense=("defensegan",), n=50),),
    ),
    Part("matrix", {"defenses": CAES, "attacks": ["fgsm"], "eps": FGSM_SIZES}, 1000, 1000),
    Part(
        "matrix", {"defenses": CAES, "attacks": ["fgsm_predicted", "grey"], "eps": [0.6], "latency": True}, 1000, 1000,
    ),
    Part("matrix", {"defenses": CAES, "attacks": ["pgd"], "eps": PGD_SIZES}, 1000, 1000),
    Part(
        "adaptive",
        {
            "datasets": ["mnist"],
            "defenses": [*COMPARED, "cae_multi"],
            "threats": ["graybox", "bpda", "whitebox", "soft", "blackbox"],
        },
        1000, 200,
    ),
)  # fmt: skip


def configured(part: Part, dataset: str, n: int | None, device: str, latency: bool) -> RunConfig | None:
    """Return a part's run on one dataset, on at most ``n`` images; None where the part is not of that dataset.

    Raises ``UserError`` for a device or number that no configuration can have.
    """
    base = config.load(PRESET, None, {**part.asked, "device": device})
    if dataset not in base.datasets:
        return None
    on_gpu = device == "cuda"
    images = part.n if on_gpu else part.n_cpu
    at_most = images if n is None else min(n, images)
    sources = base.overrides if on_gpu else (*base.overrides, part.overrides_cpu)
    overrides = tuple(tuple(_of_at_most(at_most, said, part, on_gpu) for said in source) for source in sources)
    return replace(base, datasets=(dataset,), n=at_most, overrides=overrides, latency=base.latency and latency)


def _of_at_most(images: int, said: Override, part: Part, on_gpu: bool) -> Override:
    """Bound the images of an override; a GPU judges a slow defense on more than the preset says."""
    if said.n is None:
        return said
    own = min(SLOW_ON_GPU * said.n, part.n) if on_gpu and said.defense else said.n
    return replace(said, n=min(own, images))
