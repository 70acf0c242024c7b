"""What a classifier is shown in training: images moved by a few pixels."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def shifted(x: Tensor, shift: int) -> Tensor:
    """Shift each image of a batch ``(N, C, H, W)`` at random by up to ``shift`` pixels, filling with black."""
    if shift == 0:
        return x
    height, width = x.shape[-2:]
    padded = F.pad(x, (shift,) * 4)
    moves = torch.randint(0, 2 * shift + 1, (2, len(x)), device=x.device)
    rows = moves[0][:, None] + torch.arange(height, device=x.device)
    columns = moves[1][:, None] + torch.arange(width, device=x.device)
    image = torch.arange(len(x), device=x.device)[:, None, None]
    return padded[image, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
