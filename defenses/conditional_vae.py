"""The networks of PuVAE: an encoder in two parts, image features and the code of features with a label; a decoder."""

from __future__ import annotations

from torch import nn

from purification_bench.defenses.layers import doubling

CHANNELS = 32


def feature_layers(channels: int, stride: int) -> nn.Sequential:
    """Return three dilated 7x7 convolutions: images ``(N, C, H, W)`` to features ``(N, F)``."""
    layers: list[nn.Module] = []
    for narrow in (channels, CHANNELS, CHANNELS):
        layers += [nn.Conv2d(narrow, CHANNELS, 7, stride=stride, padding=6, dilation=2), nn.ReLU()]
    return nn.Sequential(*layers, nn.Flatten())


def code_layers(inputs: int, hidden: int, latent_dim: int) -> nn.Sequential:
    """Return the dense layers from features with one-hot labels to mean and (raw) deviation of the code."""
    return nn.Sequential(
        nn.Linear(inputs, hidden),
        nn.ReLU(),
        nn.Linear(hidden, hidden),
        nn.ReLU(),
        nn.Linear(hidden, 2 * latent_dim),
    )


def decoder_layers(inputs: int, shape: tuple[int, int, int]) -> nn.Sequential:
    """Return the layers from codes with one-hot labels to images before the sigmoid.

    Their sides are multiples of 8: whoever decodes cuts off what exceeds ``shape``.
    """
    channels, height, width = shape
    start = -(-height // 8), -(-width // 8)
    return nn.Sequential(
        nn.Linear(inputs, 512),
        nn.ReLU(),
        nn.Linear(512, CHANNELS * start[0] * start[1]),
        nn.ReLU(),
        nn.Unflatten(1, (CHANNELS, *start)),
        doubling(CHANNELS, CHANNELS),
        nn.ReLU(),
        doubling(CHANNELS, CHANNELS),
        nn.ReLU(),
        doubling(CHANNELS, channels),
    )
