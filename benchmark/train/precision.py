"""Models as training runs them: in lower precision, where the user asks for it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn


def autocast(precision: str, device: torch.device) -> torch.autocast:
    """Return the context in which a pass is made: autocast for ``bfloat16``, none for ``float32``."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")


class InPrecision(nn.Module):
    """A model whose every pass runs under ``autocast``, whatever surrounds it; it answers in float32.

    The guard's own precision costs an attack on training images twice the time.
    """

    def __init__(self, model: nn.Module, autocast: Callable[[], AbstractContextManager[object]]) -> None:
        super().__init__()
        self.model = model
        self._autocast = autocast

    def forward(self, x: Tensor) -> Tensor:
        """Return the model's answer."""
        with self._autocast():
            logits: Tensor = self.model(x)
        return logits.float()
