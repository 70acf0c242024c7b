"""What a defense in training is worth on validation images."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from purification_bench.defenses.base import Defense
from purification_bench.defenses.context import FitContext

BATCH = 500


def batches(context: FitContext) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield validation images and labels on the context's device, the first batch last: what is shown is from that."""
    parts = [part.split(BATCH) for part in (context.images("validation"), context.labels("validation"))]
    for x, y in reversed(list(zip(*parts, strict=True))):
        yield x.to(context.device), y.to(context.device)


@torch.no_grad()
def score(defense: Defense, context: FitContext, x_adv: Tensor) -> tuple[float, float]:
    """Return, of purified validation images, the share that the classifier gets right, and the mean square error.

    Parameters
    ----------
    x_adv:
        The validation images as they were attacked, all of them.
    """
    x, y = context.images("validation"), context.labels("validation")
    squared, correct = 0.0, 0
    for start in range(0, len(y), BATCH):
        part = slice(start, start + BATCH)
        purified = defense.purify(x_adv[part].to(context.device)).cpu()
        squared += float((purified - x[part]).square().mean(dim=(1, 2, 3)).sum())
        predicted = context.classifier(purified.to(context.device)).argmax(dim=1).cpu()
        correct += int((predicted == y[part]).sum())
    return correct / len(y), squared / len(y)
