"""The few images that are kept beside a result, for the gallery."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from purification_bench.benchmark.assets.data import Images
from purification_bench.benchmark.run.judge import Judge
from purification_bench.defenses.faults import FAULTS

EXAMPLES = 8


def examples(judge: Judge, purified: Tensor, images: Images, x_adv: Tensor) -> dict[str, NDArray[Any]] | None:
    """Return the first images, clean, attacked and purified, and the classes that the classifier sees in them.

    None where the defense cannot purify them.

    Parameters
    ----------
    purified:
        The first batch as judging purified it; too few where it was judged on the view, or in small batches.
    """
    shown = x_adv[:EXAMPLES]
    if len(purified) < len(shown):
        try:
            purified = judge.purify(shown, 0, 0)
        except FAULTS:  # the cell's own result says why
            return None
    strips = {"clean": images.x[:EXAMPLES], "adversarial": shown, "purified": purified[:EXAMPLES]}
    classes = {f"{name}_classes": judge.classes(x).numpy() for name, x in strips.items()}
    labels = images.y[: len(shown)].numpy()
    return {**{name: _pixels(x) for name, x in strips.items()}, "labels": labels, **classes}


def _pixels(x: Tensor) -> NDArray[np.uint8]:
    pixels: NDArray[np.uint8] = (x.clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()
    return pixels
