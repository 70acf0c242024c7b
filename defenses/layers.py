"""What several networks are made of."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


def padded(x: Tensor, multiple: int) -> Tensor:
    """Return images with black below and on the right, so that height and width are multiples of a number."""
    return F.pad(x, (0, -x.shape[3] % multiple, 0, -x.shape[2] % multiple))


def doubling(channels: int, out: int) -> nn.ConvTranspose2d:
    """Return a 5x5 transposed convolution that doubles height and width."""
    return nn.ConvTranspose2d(channels, out, 5, stride=2, padding=2, output_padding=1)
