"""What the pictures share: pixels, labels, files."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

Images = NDArray[np.uint8]
GAP = 3
"""Pixels between images."""
LABEL_WIDTH = 24
RIGHT, WRONG = "#00704f", "#b04400"
mpl.rcParams["svg.hashsalt"] = "purification-bench"


class Picture(Figure):
    """A figure that a notebook shows, whatever its settings."""

    def _repr_png_(self) -> bytes:
        drawn = io.BytesIO()
        self.savefig(drawn, format="png", dpi=100)
        return drawn.getvalue()


def difference(images: Images, clean: Images) -> Images:
    """Show a difference in grey: mid-grey is none, black and white are a whole pixel range down and up."""
    signed = (images.astype(np.int16) - clean.astype(np.int16)) // 2 + 128
    return signed.clip(0, 255).astype(np.uint8)


def stack(strips: Sequence[Images]) -> tuple[Images, int]:
    """Lay strips of images ``(k, C, H, W)`` out as one picture; return it with the distance between strips."""
    lines = []
    for strip in strips:
        colour = np.repeat(strip, 3, axis=1) if strip.shape[1] == 1 else strip
        tiles = [
            np.pad(image.transpose(1, 2, 0), ((0, GAP), (0, GAP), (0, 0)), constant_values=255) for image in colour
        ]
        lines.append(np.concatenate(tiles, axis=1))
    return np.concatenate(lines, axis=0), strips[0].shape[-2] + GAP


def in_percent(panel: Axes, grid: Literal["both", "y"] = "both") -> None:
    """Make a panel one of percentages: from 0 to 100, a light grid behind, no frame at the top and right."""
    panel.set_ylim(0, 100)
    panel.grid(axis=grid, color="0.92")
    panel.set_axisbelow(True)
    for side in ("top", "right"):
        panel.spines[side].set_visible(False)


class Strip(NamedTuple):
    """Images beside one another."""

    name: str
    images: Images
    classes: NDArray[Any] | None = None
    """What the classifier sees in each ..."""
    labels: NDArray[Any] | None = None
    """... and what is there."""


def show_strips(panel: Axes, strips: Sequence[Strip], label_size: int) -> int:
    """Draw strips of images below one another, each with its name at the left; return the distance between them.

    Where classes are known, they are written into the images: in green where they are right.
    """
    picture, pitch = stack([strip.images for strip in strips])
    panel.imshow(picture, vmin=0, vmax=255, cmap="gray", interpolation="nearest")
    panel.set_xticks([])
    panel.set_yticks([pitch * (i + 0.5) for i in range(len(strips))], [strip.name for strip in strips])
    for down, strip in enumerate(strips):
        _write_classes(panel, strip, pitch * down)
    panel.tick_params(length=0, labelsize=label_size)
    for side in panel.spines.values():
        side.set_visible(False)
    return pitch


def _write_classes(panel: Axes, strip: Strip, top: float) -> None:
    if strip.classes is None or strip.labels is None:
        return
    across = strip.images.shape[-1] + GAP
    for index, (seen, there) in enumerate(zip(strip.classes, strip.labels, strict=False)):
        colour = RIGHT if seen == there else WRONG
        box = {"facecolor": "white", "edgecolor": "none", "pad": 0.6, "alpha": 0.8}
        panel.text(index * across, top, str(seen), color=colour, fontsize=6, weight="bold", va="top", bbox=box)


def wrapped(label: str) -> str:
    """Break a long label behind its commas and before its bracket."""
    return "\n".join(textwrap.wrap(label.replace("[", " [").replace(",", ", "), LABEL_WIDTH))


def save_png(figure: Figure, path: Path, *, dpi: int, bbox_inches: str | None = None) -> Path:
    """Write a picture in 256 colours, a third of the size; return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=dpi, bbox_inches=bbox_inches, pil_kwargs={"compress_level": 1})
    Image.open(drawn).convert("RGB").quantize(method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(path)
    return path
