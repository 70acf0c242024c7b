"""Layers that several decoders are made of."""

from __future__ import annotations

from torch import nn


def doubling(channels: int, out: int) -> nn.ConvTranspose2d:
    """Return a 5x5 transposed convolution that doubles height and width."""
    return nn.ConvTranspose2d(channels, out, 5, stride=2, padding=2, output_padding=1)
