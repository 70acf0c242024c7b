"""Datasets: images in [0, 1], labels, and the facts a grid needs to know about them."""

from __future__ import annotations

import gzip
import hashlib
import os
import zlib
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple
from urllib.error import URLError

import numpy as np
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor

from purification_bench.benchmark.paths import SPLITS, cache_dir
from purification_bench.benchmark.registries import register_dataset
from purification_bench.defenses.base import Split
from purification_bench.defenses.errors import UserError, positive
from purification_bench.defenses.spec import Spec

VALIDATION_SHARE = 0.1
PUBLISHED_SHAPE = (1, 28, 28)
"""Of the MNIST family's images."""

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
            raise UserError(f"n must lie between 1 and {len(images.y)} for {self.spec.label}, not {n}")
        return Images(images.x[:n], images.y[:n])

    def training_split(self, split: Split, data_dir: Path | None = None, limit: int | None = None) -> Images:
        """Return the training or the validation part of the training split (9 : 1, stratified, fixed).

        With ``limit``, the first so many images of the training part; the validation part stays whole.
        """
        images = self.load("train", data_dir)
        order = stratified_order(images.y, f"{self.spec.name}:train")
        held_out = round(VALIDATION_SHARE * len(order))
        chosen = order[-held_out:] if split == "validation" else order[:-held_out][:limit]
        return Images(images.x[chosen], images.y[chosen])


def stratified_order(y: Tensor, key: str) -> Tensor:
    """Return a fixed permutation of the indices of ``y`` each of whose prefixes holds the classes in proportion.

    The order follows from hashes of the indices, so it does not depend on any library's generator.
    """
    labels = y.tolist()
    shuffled = sorted(range(len(labels)), key=lambda i: hashlib.sha256(f"{key}:{i}".encode()).digest())
    sizes = np.bincount(labels)
    seen = np.zeros(len(sizes), dtype=int)
    position = {}
    for i in shuffled:
        position[i] = (seen[labels[i]] + 0.5) / sizes[labels[i]]
        seen[labels[i]] += 1
    return torch.tensor(sorted(shuffled, key=position.__getitem__), dtype=torch.int64)


class _IdxDataset(ImageDataset):
    """The MNIST family: four IDX files, published in one layout, checked by digest before they are read.

    Parameters
    ----------
    split:
        What defenses are judged on.
    pixels:
        Images are resized to so many pixels a side (bilinearly); none: they are as published.
    """

    shape = PUBLISHED_SHAPE
    num_classes = 10
    folder: ClassVar[str]
    """The folder of torchvision's layout; also the name of torchvision's class."""
    digests: ClassVar[dict[str, str]]
    """SHA-256 of each uncompressed file."""

    def __init__(self, *, split: EvaluationSplit = "test", pixels: int | None = None) -> None:
        positive(pixels=pixels)
        self.split = split
        self.pixels = pixels
        if pixels is not None:
            self.shape = self.shape[0], pixels, pixels

    def load(self, part: str, data_dir: Path | None) -> Images:
        """Read one part from ``data_dir``, ``BENCH_DATA``, the package (test only), the cache, or a download."""
        prefix = {"train": "train", "test": "t10k"}[part]
        pixels = self._read(f"{prefix}-images-idx3-ubyte", data_dir)[16:]
        labels = self._read(f"{prefix}-labels-idx1-ubyte", data_dir)[8:]
        x = torch.from_numpy(np.frombuffer(pixels, np.uint8).reshape(-1, *PUBLISHED_SHAPE).astype(np.float32) / 255)
        if self.pixels is not None:
            x = F.interpolate(x, (self.pixels, self.pixels), mode="bilinear", align_corners=False).clamp(0, 1)
        return Images(x, torch.from_numpy(np.frombuffer(labels, np.uint8).astype(np.int64)))

    def _read(self, file: str, data_dir: Path | None) -> bytes:
        path = self._find(file, data_dir)
        try:
            content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        except (OSError, EOFError, zlib.error) as error:
            raise UserError(f"data file {path} cannot be read: {error}") from error
        if hashlib.sha256(content).hexdigest() != self.digests[file]:
            raise UserError(f"data file {path} is corrupt: its SHA-256 is not that of the published {file}")
        return content

    def _find(self, file: str, data_dir: Path | None) -> Path:
        given = data_dir or (Path(os.environ["BENCH_DATA"]) if os.environ.get("BENCH_DATA") else None)
        cached = cache_dir() / "data"
        folders = [root / self.folder / "raw" for root in (given, cached) if root is not None]
        folders.insert(len(folders) - 1, SPLITS / self.spec.name)
        for folder in folders:
            for candidate in (folder / file, folder / f"{file}.gz"):
                if candidate.is_file():
                    return candidate
        try:
            getattr(torchvision.datasets, self.folder)(str(cached), download=True)
        except (RuntimeError, URLError, OSError):
            searched = ", ".join(str(folder) for folder in folders)
            raise UserError(
                f"{file} of {self.spec.name} not found in {searched}, and the download failed; give the folder that "
                f"holds {self.folder}/raw with --data-dir or BENCH_DATA"
            ) from None
        return cached / self.folder / "raw" / file


@register_dataset("mnist")
class MNIST(_IdxDataset):
    """Handwritten digits, 1x28x28, 10 classes (LeCun et al. 1998; CC BY-SA 3.0)."""

    folder = "MNIST"
    eps = 0.3
    eps_grid = (0.1, 0.2, 0.3, 0.6)
    digests: ClassVar[dict[str, str]] = {
        "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    }


@register_dataset("fashion_mnist")
class FashionMNIST(_IdxDataset):
    """Articles of clothing, 1x28x28, 10 classes (Xiao et al. 2017; MIT)."""

    folder = "FashionMNIST"
    eps = 0.1
    eps_grid = (0.05, 0.1, 0.2, 0.3, 0.6)
    digests: ClassVar[dict[str, str]] = {
        "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    }
