"""Weight files: safetensors, as they are, in half precision, or as compressed 8-bit integers."""

from __future__ import annotations

import lzma
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from safetensors.torch import load, save
from torch import Tensor

Storage = Literal["whole", "half", "int8"]

SCALE = ":scale"
"""Ends the name of the factors of a tensor that is stored as integers."""
COMPRESSED = ".xz"
SUFFIX: Mapping[Storage, str] = {
    "whole": ".safetensors",
    "half": ".safetensors",
    "int8": f".safetensors{COMPRESSED}",
}


def write(path: Path, state: Mapping[str, Tensor], storage: Storage) -> None:
    """Write weights in one piece; ``int8`` also compresses them, which pays where most are zero."""
    content = save(encode(state, storage))
    path.write_bytes(lzma.compress(content, preset=9) if storage == "int8" else content)


def read(path: Path) -> dict[str, Tensor]:
    """Return the weights in a file; raise ``SafetensorError`` or ``LZMAError`` for one that cannot be read."""
    content = path.read_bytes()
    return decode(load(lzma.decompress(content) if path.suffix == COMPRESSED else content))


def encode(state: Mapping[str, Tensor], storage: Storage) -> dict[str, Tensor]:
    """Return the tensors that stand for ``state`` in a file.

    ``half`` rounds to float16. ``int8`` rounds each output channel of a weight to 255 equal steps around zero, with one
    float32 factor a channel; vectors (biases, batch statistics) stay as they are.
    """
    stored: dict[str, Tensor] = {}
    for name, value in state.items():
        tensor = value.detach().cpu().contiguous()
        if storage == "half" and tensor.is_floating_point():
            tensor = tensor.half()
        if storage == "int8" and tensor.is_floating_point() and tensor.ndim > 1:
            largest = tensor.abs().amax(dim=tuple(range(1, tensor.ndim)), keepdim=True)
            scale = largest.clamp_min(1e-12) / 127
            stored[f"{name}{SCALE}"] = scale
            tensor = (tensor / scale).round().char()
        stored[name] = tensor
    return stored


def decode(stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights that ``encode`` wrote; half precision is left to whoever loads them."""
    state: dict[str, Tensor] = {}
    for name, value in stored.items():
        scale = stored.get(f"{name}{SCALE}")
        if not name.endswith(SCALE):
            state[name] = value if scale is None else value.float() * scale
    return state
