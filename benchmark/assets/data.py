"""What a dataset is: images in [0, 1], labels, their fixed order, and the facts a grid needs to know."""

from __future__ import annotations

import functools
import hashlib
import os
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from purification_bench.benchmark.paths import cache_dir
from purification_bench.defenses.context import Split
from purification_bench.defenses.errors import UserError
from purification_bench.defenses.spec import Spec

VALIDATION_SHARE = 0.1
EvaluationSplit = Literal["test", "validation"]


class Images(NamedTuple):
    """A set of images with their labels."""

    x: Tensor
    """float32 ``(N, C, H, W)`` in [0, 1]."""
    y: Tensor
    """int64 ``(N,)``."""


class ImageDataset(ABC):
    """A classification dataset. A subclass states the facts below and writes ``load``."""

    shape: tuple[int, int, int]
    """(C, H, W)."""
    num_classes: ClassVar[int]
    eps: ClassVar[float]
    """The mark: the Linf size, in pixel units, at which the field compares defenses on this dataset."""
    eps_grid: ClassVar[tuple[float, ...]]
    """The sizes that a curve is drawn over where none are asked for."""
    version: ClassVar[str] = "1"
    images: int | None = None
    """How many images there are to judge on; None: that is known once they are loaded."""
    spec: Spec
    split: EvaluationSplit = "test"
    """What defenses are judged on: ``test``, to report; ``validation``, to choose between options of a defense."""

    @abstractmethod
    def load(self, part: str, data_dir: Path | None) -> Images:
        """Return all images of ``part`` (``train`` or ``test``) in their published order."""

    def judged(self, n: int, data_dir: Path | None = None) -> Images:
        """Return the first ``n`` images of ``split`` in a fixed stratified order: a smaller n is a subset of a larger.

        Raises ``UserError`` unless ``1 <= n <=`` the size of the split.
        """
        if self.split == "validation":
            images = self.training_split("validation", data_dir)
        else:
            images = self.load("test", data_dir)
            order = stratified_order(images.y, f"{self.spec.name}:test")
            images = Images(images.x[order], images.y[order])
        if not 1 <= n <= len(images.y):
            raise UserError(f"n must lie between 1 and {len(images.y)} for {self.spec}, not {n}")
        return Images(images.x[:n], images.y[:n])

    def places(self, index: Tensor, data_dir: Path | None = None) -> Tensor:
        """Return the places in the fixed order of images of the test split, given by their index in that.

        Raises ``UserError`` for an index that there is not.
        """
        order = stratified_order(self.load("test", data_dir).y, f"{self.spec.name}:test")
        outside = index[(index < 0) | (index >= len(order))]
        if len(outside):
            raise UserError(f"index must lie between 0 and {len(order) - 1} for {self.spec}, not {int(outside[0])}")
        return order.argsort()[index]

    def training_split(self, split: Split, data_dir: Path | None = None, limit: int | None = None) -> Images:
        """Return the training or the validation part of the training split (9 : 1, stratified, fixed).

        With ``limit``, the first so many images of the training part; the validation part stays whole.
        """
        images = self.load("train", data_dir)
        order = stratified_order(images.y, f"{self.spec.name}:train")
        held_out = round(VALIDATION_SHARE * len(order))
        chosen = order[-held_out:] if split == "validation" else order[:-held_out][:limit]
        return Images(images.x[chosen], images.y[chosen])


def data_folders(data_dir: Path | None) -> list[Path]:
    """Return where data is looked for: in ``data_dir`` or ``BENCH_DATA``; last in the cache, where downloads go."""
    given = data_dir or os.environ.get("BENCH_DATA")
    return [*([Path(given)] if given else []), cache_dir() / "data"]


def stratified_order(y: Tensor, key: str) -> Tensor:
    """Return a fixed permutation of the indices of ``y`` each of whose prefixes holds the classes in proportion.

    The order follows from hashes of the indices, so it does not depend on any library's generator.
    """
    shuffled = _shuffled(len(y), key)
    labels = y.numpy()[shuffled]
    place = np.empty(len(labels))
    for k, size in enumerate(np.bincount(labels)):
        place[labels == k] = (np.arange(size) + 0.5) / size
    return torch.from_numpy(shuffled[np.argsort(place, kind="stable")])


@functools.lru_cache(maxsize=4)
def _shuffled(n: int, key: str) -> NDArray[np.int64]:
    return np.array(sorted(range(n), key=lambda i: hashlib.sha256(f"{key}:{i}".encode()).digest()), dtype=np.int64)
