"""Data sets that torchvision reads: found in its layout, checked by its digests, downloaded where they are nowhere."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar
from urllib.error import URLError

import numpy as np
import torch
from numpy.typing import NDArray

from purification_bench.benchmark.assets.data import (
    VALIDATION_SHARE,
    EvaluationSplit,
    ImageDataset,
    Images,
    data_folders,
)
from purification_bench.benchmark.registries import register_dataset
from purification_bench.defenses.errors import UserError

COLOUR = (3, 32, 32)
COLOUR_EPS, COLOUR_GRID = 8 / 255, (2 / 255, 4 / 255, 8 / 255, 16 / 255)


class _TorchvisionSet(ImageDataset):
    """A data set that torchvision has a class for.

    Parameters
    ----------
    split:
        What defenses are judged on.
    """

    source: ClassVar[str]
    """Name of torchvision's class."""
    sizes: ClassVar[Mapping[str, int]]
    """How many images each part was published with."""

    def __init__(self, *, split: EvaluationSplit = "test") -> None:
        self.split = split
        self.images = self.sizes["test"] if split == "test" else round(VALIDATION_SHARE * self.sizes["train"])

    def load(self, part: str, data_dir: Path | None) -> Images:
        """Read one part from ``data_dir``, ``BENCH_DATA``, the cache, or a download."""
        root, files = self._root(part, data_dir), self.files(part)
        for file, md5 in files.items():
            self._check(root / file, md5)
        first = f"data file {root / next(iter(files))}"
        try:
            pixels, labels = self.read(root, part)
        except Exception as error:  # whatever a reader makes of a file that is not what its name says
            raise UserError(f"{first} cannot be read: {_first_line(error)}") from error
        found = f"{len(pixels)} images and {len(labels)} labels"
        if not len(pixels) == len(labels) == self.sizes[part]:
            raise UserError(f"{first} is not as published: it holds {found}, not {self.sizes[part]}")
        x = torch.from_numpy(np.ascontiguousarray(pixels)).float() / 255
        return Images(x, torch.from_numpy(np.asarray(labels, dtype=np.int64)))

    @abstractmethod
    def files(self, part: str) -> Mapping[str, str | None]:
        """Return the files of a part, below the folder of the data, with their MD5 where torchvision has it."""

    @abstractmethod
    def read(self, root: Path, part: str) -> tuple[NDArray[np.uint8], Any]:
        """Return pixels ``(N, C, H, W)`` and labels ``(N,)`` of files that are there."""

    def options(self, part: str) -> Mapping[str, Any]:
        """Return what torchvision's class takes for a part."""
        return {"train": part == "train"}

    def made(self, root: Path, part: str, *, download: bool = False) -> Any:
        """Return torchvision's object."""
        return self._class()(str(root), download=download, **self.options(part))

    def _root(self, part: str, data_dir: Path | None) -> Path:
        *_, cached = roots = data_folders(data_dir)
        for root in roots:
            if any((root / file).exists() for file in self.files(part)):
                return root
        try:
            self.made(cached, part, download=True)
        except (RuntimeError, URLError, OSError) as error:
            searched = ", ".join(str(root) for root in roots)
            raise UserError(
                f"{next(iter(self.files(part)))} of {self.spec.name} not found in {searched}, and the download failed "
                f"({_first_line(error)}); give the folder that holds it with --data-dir or BENCH_DATA"
            ) from None
        return cached

    def _check(self, path: Path, md5: str | None) -> None:
        from torchvision.datasets.utils import check_integrity

        if not path.is_file():
            raise UserError(f"data file {path} is missing")
        if not check_integrity(str(path), md5):
            raise UserError(f"data file {path} is corrupt: its MD5 is not that of the published {path.name}")

    def _class(self) -> Any:
        import torchvision

        return getattr(torchvision.datasets, self.source)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0] or type(error).__name__


@register_dataset("cifar10")
class CIFAR10(_TorchvisionSet):
    """Photographs, 3x32x32, 10 classes (Krizhevsky 2009)."""

    source = "CIFAR10"
    shape = COLOUR
    num_classes = 10
    eps = COLOUR_EPS
    eps_grid = COLOUR_GRID
    sizes: ClassVar[Mapping[str, int]] = {"train": 50_000, "test": 10_000}

    def files(self, part: str) -> Mapping[str, str | None]:
        """Return the batches; torchvision asks for all of them, and for the names of the classes."""
        cls = self._class()
        listed = [*cls.train_list, *cls.test_list, [cls.meta["filename"], cls.meta["md5"]]]
        return {f"{cls.base_folder}/{file}": md5 for file, md5 in listed}

    def read(self, root: Path, part: str) -> tuple[NDArray[np.uint8], Any]:
        """Return the images as torchvision unpickles them."""
        made = self.made(root, part)
        return made.data.transpose(0, 3, 1, 2), made.targets


@register_dataset("svhn")
class SVHN(_TorchvisionSet):
    """House numbers, 3x32x32, 10 classes (Netzer et al. 2011)."""

    source = "SVHN"
    shape = COLOUR
    num_classes = 10
    eps = COLOUR_EPS
    eps_grid = COLOUR_GRID
    sizes: ClassVar[Mapping[str, int]] = {"train": 73_257, "test": 26_032}

    def files(self, part: str) -> Mapping[str, str | None]:
        """Return the one file of a part."""
        _, file, md5 = self._class().split_list[part]
        return {file: md5}

    def read(self, root: Path, part: str) -> tuple[NDArray[np.uint8], Any]:
        """Return the images as they lie in Matlab's file."""
        made = self.made(root, part)
        return made.data, made.labels

    def options(self, part: str) -> Mapping[str, Any]:
        """Return the name of the part."""
        return {"split": part}


class _Grey(_TorchvisionSet):
    """Data sets in MNIST's format, of whose uncompressed files torchvision keeps no digest."""

    shape = (1, 28, 28)
    eps = 0.3
    eps_grid = (0.1, 0.2, 0.3)

    def read(self, root: Path, part: str) -> tuple[NDArray[np.uint8], Any]:
        """Return the images of the IDX files."""
        made = self.made(root, part)
        return made.data[:, None].numpy(), made.targets.numpy()


@register_dataset("kmnist")
class KMNIST(_Grey):
    """Cursive Japanese characters, 1x28x28, 10 classes (Clanuwat et al. 2018; CC BY-SA 4.0)."""

    source = "KMNIST"
    num_classes = 10
    sizes: ClassVar[Mapping[str, int]] = {"train": 60_000, "test": 10_000}

    def files(self, part: str) -> Mapping[str, str | None]:
        """Return images and labels of the part, then of the other: torchvision asks for all of them."""
        prefixes = ("train", "t10k") if part == "train" else ("t10k", "train")
        kinds = ("images-idx3", "labels-idx1")
        return {f"KMNIST/raw/{prefix}-{kind}-ubyte": None for prefix in prefixes for kind in kinds}


@register_dataset("emnist")
class EMNIST(_Grey):
    """Handwritten digits and letters, balanced, 1x28x28, 47 classes (Cohen et al. 2017). Turned upright."""

    source = "EMNIST"
    num_classes = 47
    sizes: ClassVar[Mapping[str, int]] = {"train": 112_800, "test": 18_800}

    def files(self, part: str) -> Mapping[str, str | None]:
        """Return images and labels."""
        return {f"EMNIST/raw/emnist-balanced-{part}-{kind}-ubyte": None for kind in ("images-idx3", "labels-idx1")}

    def read(self, root: Path, part: str) -> tuple[NDArray[np.uint8], Any]:
        """Return the images of the IDX files, rows and columns swapped."""
        pixels, labels = super().read(root, part)
        return pixels.transpose(0, 1, 3, 2), labels

    def options(self, part: str) -> Mapping[str, Any]:
        """Return the balanced classes' part."""
        return {"split": "balanced", **super().options(part)}
