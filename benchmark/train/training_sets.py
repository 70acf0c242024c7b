"""Adversarial training images: made once against the bare classifier, and kept in the user's cache directory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from purification_bench.attacks import guard
from purification_bench.attacks.base import Attack
from purification_bench.benchmark.assets.classifiers import Classifier
from purification_bench.benchmark.assets.data import Images
from purification_bench.benchmark.paths import cache_dir
from purification_bench.benchmark.registries import ATTACKS
from purification_bench.benchmark.seeds import keyed_seed
from purification_bench.benchmark.train.precision import InPrecision, autocast
from purification_bench.defenses.context import Split
from purification_bench.defenses.errors import UserError
from purification_bench.leaderboard.results.atomic import replacing
from purification_bench.leaderboard.results.canonical import digest

CHUNK = 2000
"""Images are stored in files of so many, so that an interrupted job loses little."""
BATCH = 250
"""Images attacked at once."""


@dataclass(frozen=True)
class Target:
    """The frozen classifier that a defense is trained with."""

    classifier: Classifier
    weights: str
    """SHA-256 of its weights; empty where it has none."""
    key: str
    """The digest of what its adversarial images depend on: dataset, classifier, weights, versions, plug-in sources."""


class AdversarialSets:
    """The adversarial images of one training: of its classifier, seed and precision."""

    def __init__(
        self, target: Target, seed: int, precision: str, device: torch.device, say: Callable[[str], None]
    ) -> None:
        self._target = target
        self._seed = seed
        self._precision = precision
        self._device = device
        self._say = say
        self._made: dict[tuple[str, float, Split], Tensor] = {}

    def of(self, images: Images, split: Split, attack: str, eps: float) -> Tensor:
        """Return what ``attack`` at ``eps`` makes of a split's images, ``(n, C, H, W)`` in [0, 1], in their order.

        Raises
        ------
        UserError
            If the attack is unknown or measures nothing at ``eps``, or the stored images are damaged.
        """
        if (attack, eps, split) not in self._made:
            made = ATTACKS.create(attack)
            made.check(eps)
            self._made[attack, eps, split] = self._stored(made, eps, images, split)
        return self._made[attack, eps, split]

    def _stored(self, attack: Attack, eps: float, images: Images, split: Split) -> Tensor:
        spec = [attack.spec.name, dict(attack.spec.options), attack.version, eps]
        randomness = digest([spec, self._target.weights, split, self._seed])[:16]
        key = digest([randomness, self._precision, self._target.key, ATTACKS.source_digest(attack.spec.name)])[:16]
        folder = cache_dir() / "adversarial" / f"{attack.spec.name}-{eps:g}-{split}-{key}"
        folder.mkdir(parents=True, exist_ok=True)
        chunks = []
        for start in range(0, len(images.y), CHUNK):
            part = slice(start, min(start + CHUNK, len(images.y)))
            path = folder / f"{part.start:06d}-{part.stop:06d}.safetensors"
            if not path.is_file():
                x_adv = self._attack(attack, eps, images.x[part], images.y[part], [randomness, start])
                with replacing(path) as partial:
                    save_file({"x_adv": x_adv}, partial)
                self._say(f"{attack.spec.label} eps {eps:g}: {part.stop} of {len(images.y)} {split} images")
            chunks.append(_read(path))
        return torch.cat(chunks)

    def _attack(self, attack: Attack, eps: float, x: Tensor, y: Tensor, key: list[Any]) -> Tensor:
        attacked = InPrecision(self._target.classifier, partial(autocast, self._precision, self._device))
        x_adv: list[Tensor] = []
        for start in range(0, len(y), BATCH):
            part = slice(start, start + BATCH)
            batch = x[part].to(self._device), y[part].to(self._device)
            x_adv.append(guard.run(attack, attacked, *batch, [eps], [keyed_seed(*key, start)])[0].cpu())
        return torch.cat(x_adv)


def _read(path: Path) -> Tensor:
    try:
        with safe_open(path, "pt") as stored:
            images: Tensor = stored.get_tensor("x_adv")
            return images
    except SafetensorError as error:
        raise UserError(f"cached training images {path} are damaged ({error}); remove the file") from error
