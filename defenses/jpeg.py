"""Compression by JPEG, which drops fine detail."""

from __future__ import annotations

import io

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from purification_bench.defenses.base import Defense
from purification_bench.defenses.errors import UserError
from purification_bench.defenses.registry import register_defense


@register_defense("jpeg")
class JPEG(Defense):
    """Write each image as a JPEG and read it back (Guo et al. 2018), over Pillow.

    It has no gradient; attacks pass the identity back in its place, as Athalye et al. (2018) did.

    Parameters
    ----------
    quality:
        From 1 to 100: the less, the smaller the file.
    """

    paper = "Guo et al. 2018, arXiv:1711.00117"
    differentiable = False

    def __init__(self, *, quality: int = 75) -> None:
        super().__init__()
        if not 1 <= quality <= 100:
            raise ValueError(f"quality must lie between 1 and 100, not {quality}")
        self.quality = quality

    def build(self, shape: tuple[int, int, int], num_classes: int) -> None:
        """Refuse what is neither grey nor in colour."""
        if shape[0] not in (1, 3):
            raise UserError(f"jpeg takes images of 1 or 3 channels, not {shape[0]}")

    def purify(self, x: Tensor) -> Tensor:
        """Round to 256 levels, compress, and read back, image by image, on the CPU."""
        levels = (x.detach() * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
        read = np.stack([self._through_a_file(image) for image in levels])
        return torch.from_numpy(read).to(x.device).permute(0, 3, 1, 2).to(x.dtype) / 255

    def _through_a_file(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return an image ``(H, W, C)`` as it comes back."""
        file = io.BytesIO()
        Image.fromarray(image.squeeze()).save(file, "JPEG", quality=self.quality)
        return np.asarray(Image.open(file)).reshape(image.shape)
