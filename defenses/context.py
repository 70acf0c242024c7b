"""What a defense is trained with: the framework's side of ``Defense.fit``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn

Split = Literal["train", "validation"]


class FitContext(Protocol):
    """What a defense is trained with. Images are float32 ``(N, C, H, W)`` in [0, 1], labels int64 ``(N,)``."""

    device: torch.device
    classifier: nn.Module
    """The target, frozen, in eval mode."""

    def images(self, split: Split) -> Tensor:
        """Return the clean images of a part of the training split."""

    def labels(self, split: Split) -> Tensor:
        """Return the labels of the same images."""

    def adversarial(self, attack: str, eps: float, split: Split) -> Tensor:
        """Return ``attack``'s (a registered attack, options allowed) adversarial images against the bare classifier."""

    @property
    def num_epochs(self) -> int:
        """How many epochs the training has in all."""

    def attacked(
        self, model: nn.Module, attack: str, eps: float, x: Tensor, y: Tensor, *, judging: int | None = None
    ) -> Tensor:
        """Return ``attack``'s images of a batch against ``model`` as it is now: for training against an adversary.

        To judge on validation images, ``judging`` is a number of the batch: every epoch then meets the same random
        starts, in full precision.
        """

    def trained(self, defense: str) -> Any:
        """Return a registered defense (options allowed) with its weights for these images: to build on, not to train.

        Raises ``UserError`` where it has none.
        """

    def epochs(self, *, model: Any, **others: Any) -> Iterator[int]:
        """Yield epoch numbers, restoring and saving ``model`` and the ``others`` (all have ``state_dict``).

        Every epoch must call ``report``; at the end ``model`` has the weights of the epoch that scored best.
        """

    def batches(self) -> Iterator[Tensor]:
        """Yield the index batches of one epoch over the training part, shuffled."""

    def autocast(self) -> AbstractContextManager[Any]:
        """Return the context to run training's forward passes in: lower precision, where the user asks for it."""

    def as_stored(self, model: nn.Module) -> AbstractContextManager[None]:
        """Return a context in which ``model`` has its weights as they will be stored: what validation should judge."""

    def report(self, score: float, **metrics: float) -> None:
        """Report an epoch's validation ``score`` (higher is better; the best epoch's weights are kept)."""

    def show(self, images: Tensor) -> None:
        """Keep ``images`` as a sheet in the training's log, for eyes."""
