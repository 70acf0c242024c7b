"""The seed paper's pictures, drawn from the images that its cells keep (Mandal 2023, Figures 2, 3, 4 and 6)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from purification_bench.leaderboard.showing.pictures import Images, Strip, difference, save_png, show_strips

Examples = Mapping[str, Images]
"""``clean``, ``adversarial`` and ``purified`` images of one cell, each uint8 ``(k, C, H, W)``."""
SHOWN = 8
ATTACKED_IMAGE = 1
"""Which of the kept images is shown at every size."""


def samples(datasets: Mapping[str, Examples | None], path: Path) -> Path | None:
    """Draw the first images of each dataset into ``path``, and return it; None where there are none."""
    panels = [[(dataset, kept["clean"][:SHOWN])] for dataset, kept in datasets.items() if kept]
    return _draw(panels, path) if panels else None


def sizes(datasets: Mapping[str, Mapping[float, Examples | None]], path: Path) -> Path | None:
    """Draw one image of each dataset under an attack at every size, clean first, and below it what was added.

    Returns ``path``, or None where there are no images.
    """
    panels = []
    for dataset, cells in datasets.items():
        kept = {eps: images for eps, images in cells.items() if images}
        if not kept:
            continue
        at = min(ATTACKED_IMAGE, *(len(images["clean"]) - 1 for images in kept.values()))
        clean = next(iter(kept.values()))["clean"][at]
        shown = np.stack([clean, *(images["adversarial"][at] for images in kept.values())])
        added = difference(shown, np.repeat(clean[None], len(shown), axis=0))
        panels.append(([(dataset, shown), ("added", added)], ["0", *(f"{eps:g}" for eps in kept)]))
    return _draw([strips for strips, _ in panels], path, [columns for _, columns in panels]) if panels else None


def reconstructions(cells: Mapping[tuple[str, str, float], Examples | None], path: Path) -> Path | None:
    """Draw attacked, reconstructed and original images for each (dataset, attack, eps).

    Returns ``path``, or None where there are no images.
    """
    panels = []
    for (dataset, attack, eps), kept in cells.items():
        if kept:
            named = f"{dataset}\n{attack} {eps:g}", "reconstructed", "original"
            images = (kept[part][:SHOWN] for part in ("adversarial", "purified", "clean"))
            panels.append(list(zip(named, images, strict=True)))
    return _draw(panels, path) if panels else None


def _draw(panels: Sequence[Sequence[tuple[str, Images]]], path: Path, columns: Sequence[Sequence[str]] = ()) -> Path:
    """Draw strips of images, panel below panel, each strip with its name at the left."""
    heights = [len(strips) for strips in panels]
    across = max(len(strips[0][1]) for strips in panels)
    size = (1.5 + 0.75 * across, 0.78 * sum(heights) + 0.35 * len(panels))
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(len(panels), 1, squeeze=False, gridspec_kw={"height_ratios": heights})[:, 0]
    for index, (panel, strips) in enumerate(zip(axes, panels, strict=True)):
        _panel(panel, strips, columns[index] if columns else ())
    return save_png(figure, path, dpi=110, bbox_inches="tight")


def _panel(panel: Axes, strips: Sequence[tuple[str, Images]], columns: Sequence[str]) -> None:
    pitch = show_strips(panel, [Strip(*each) for each in strips], label_size=9)
    panel.set_xticks([pitch * (i + 0.5) for i in range(len(columns))], list(columns))
    panel.xaxis.tick_top()
