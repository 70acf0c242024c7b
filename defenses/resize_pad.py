"""Random resizing and padding: an attack cannot know where its pixels will be."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from purification_bench.defenses.base import Defense
from purification_bench.defenses.registry import register_defense


@register_defense("resize_pad")
class ResizePad(Defense):
    """Shrink each image to a random size and put it at a random place on black (Xie et al. 2018).

    Xie et al. enlarge, for a classifier that takes larger images; here the frame keeps its size and the image shrinks.

    Parameters
    ----------
    smallest:
        Share of height and width that is left at least.
    """

    paper = "Xie et al. 2018, arXiv:1711.01991"
    stochastic = True

    def __init__(self, *, smallest: float = 0.8) -> None:
        super().__init__()
        if not 0 < smallest < 1:
            raise ValueError(f"smallest must lie between 0 and 1, not {smallest:g}")
        self.smallest = smallest

    def purify(self, x: Tensor) -> Tensor:
        """Sample each image bilinearly, at a size and place of its own."""
        n = len(x)
        size = self.smallest + (1 - self.smallest) * torch.rand(n, device=x.device)
        room = (1 - size)[:, None]
        offset = room * (2 * torch.rand(n, 2, device=x.device) - 1)
        # From a place in the frame to one in the image: the other way round than the image moves.
        scale = torch.eye(2, device=x.device) / size[:, None, None]
        shift = -(offset / size[:, None])[:, :, None]
        grid = F.affine_grid(torch.cat([scale, shift], dim=2), list(x.shape), align_corners=False)
        return F.grid_sample(x, grid, align_corners=False).clamp(0, 1)
