"""A network that imitates a purifier, fitted to its answers: what an attacker has who can ask it, and learn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from purification_bench.attacks import guard
from purification_bench.attacks.seeding import seeded
from purification_bench.benchmark.assets.data import Images
from purification_bench.benchmark.paths import cache_dir
from purification_bench.benchmark.registries import ATTACKS
from purification_bench.benchmark.run.judge import Judge
from purification_bench.benchmark.run.progress import Advance
from purification_bench.benchmark.seeds import keyed_seed
from purification_bench.leaderboard.results.atomic import replacing
from purification_bench.leaderboard.results.canonical import digest

VERSION = 1
"""Raise it when another network comes of the same defense."""
PAIRS = 3000
"""Training images that the purifier is asked about."""
EPOCHS, BATCH, RATE = 15, 50, 2e-3
CHANNELS = 32


class Imitation(nn.Module):
    """An encoder-decoder of images ``(N, C, H, W)`` in [0, 1]: two halvings, two residual blocks, two doublings."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        wide = 2 * CHANNELS
        self.narrow = nn.Sequential(
            nn.Conv2d(channels, CHANNELS, 5, stride=2, padding=2), nn.ReLU(),
            nn.Conv2d(CHANNELS, wide, 5, stride=2, padding=2), nn.ReLU(),
        )  # fmt: skip
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Conv2d(wide, wide, 3, padding=1), nn.ReLU(), nn.Conv2d(wide, wide, 3, padding=1))
            for _ in range(2)
        )
        self.widen = nn.Sequential(
            nn.ConvTranspose2d(wide, CHANNELS, 4, stride=2, padding=1), nn.ReLU(),
            nn.ConvTranspose2d(CHANNELS, channels, 4, stride=2, padding=1), nn.Sigmoid(),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """Return what the purifier would make of x."""
        features = self.narrow(x)
        for block in self.blocks:
            features = F.relu(features + block(features))
        images: Tensor = self.widen(features)
        return F.interpolate(images, x.shape[-2:], mode="bilinear") if images.shape != x.shape else images


def imitation(
    judge: Judge,
    images: Images,
    mark: float,
    defense: Mapping[str, Any],
    setting: Mapping[str, Any],
    advance: Advance,
) -> nn.Module:
    """Return the network fitted to ``judge``'s defense, in eval mode; fitted once, and kept in the cache.

    Parameters
    ----------
    images:
        Training images and labels; a quarter stays clean, a quarter is under noise, half under the bare classifier's
        FGSM, of sizes up to the mark.
    defense, setting:
        What the network depends on: their identities.
    """
    parts = {name: setting[name] for name in ("dataset", "classifier", "seed")}
    file = _file(digest({"version": VERSION, "defense": defense, "pairs": len(images.y), **parts}))
    network = Imitation(images.x.shape[1])
    if file.is_file():
        network.load_state_dict(load_file(file))
    else:
        seed = keyed_seed("imitation", judge.label, judge.seed)
        with seeded(seed, judge.device), torch.enable_grad():
            _fit(network.to(judge.device), judge, images, mark, advance)
        file.parent.mkdir(parents=True, exist_ok=True)
        with replacing(file) as partial:
            save_file({name: value.cpu().contiguous() for name, value in network.state_dict().items()}, partial)
    return network.to(judge.device).eval().requires_grad_(False)


def _file(key: str) -> Path:
    return cache_dir() / "imitations" / f"{key[:16]}.safetensors"


def _fit(network: nn.Module, judge: Judge, images: Images, mark: float, advance: Advance) -> None:
    """Minimise the squared error of the network's answers to the purifier's by Adam."""
    asked = torch.cat(list(_asked(judge.classifier, images, mark, judge.device)))
    answers = torch.cat(
        [judge.purify(part, start * judge.batch, 0) for start, part in enumerate(asked.split(judge.batch))]
    )
    optimizer = torch.optim.Adam(network.parameters(), lr=RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=EPOCHS * -(-len(asked) // BATCH))
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(asked)).split(BATCH):
            x, answer = (part[rows].to(judge.device) for part in (asked, answers))
            optimizer.zero_grad(set_to_none=True)
            F.mse_loss(network(x), answer).backward()
            optimizer.step()
            schedule.step()
            advance(len(rows))


def _asked(classifier: nn.Module, images: Images, mark: float, device: torch.device) -> Iterator[Tensor]:
    """Yield the images that the purifier is asked about, a quarter at a time."""
    fgsm = ATTACKS.create("fgsm")
    quarters = zip(images.x.chunk(4), images.y.chunk(4), strict=True)
    for part, (x, y) in enumerate(quarters):
        if part == 0:
            yield x
        elif part == 1:
            sizes = mark * torch.rand(len(x), 1, 1, 1)
            yield (x + sizes * (2 * torch.randint_like(x, 2) - 1)).clamp(0, 1)
        else:
            eps = mark * (part - 1) / 2
            for few, labels in zip(x.split(250), y.split(250), strict=True):
                yield guard.run(fgsm, classifier, few.to(device), labels.to(device), [eps], [0])[0].cpu()
