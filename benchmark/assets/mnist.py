"""The MNIST family: looked for, checked by digest, read, and downloaded where they are nowhere."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar
from urllib.error import URLError

import numpy as np
import torch
import torch.nn.functional as F

from purification_bench.benchmark.assets.data import EvaluationSplit, ImageDataset, Images, data_folders
from purification_bench.benchmark.paths import SPLITS
from purification_bench.benchmark.registries import register_dataset
from purification_bench.defenses.errors import UserError, positive

PUBLISHED_SHAPE = (1, 28, 28)
IMAGES: Mapping[EvaluationSplit, int] = {"test": 10_000, "validation": 6_000}


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
        self.images = IMAGES[split]
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
        *_, cached = roots = data_folders(data_dir)
        folders = [root / self.folder / "raw" for root in roots]
        folders.insert(len(folders) - 1, SPLITS / self.spec.name)
        for folder in folders:
            for candidate in (folder / file, folder / f"{file}.gz"):
                if candidate.is_file():
                    return candidate
        import torchvision

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
