"""One training in progress: its data, its loop over epochs, and what a defense asks for meanwhile."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor, nn

from purification_bench.attacks import guard
from purification_bench.attacks.base import Attack
from purification_bench.benchmark.assets import weight_files
from purification_bench.benchmark.assets.classifiers import Classifier
from purification_bench.benchmark.assets.data import Images
from purification_bench.benchmark.registries import ATTACKS
from purification_bench.benchmark.seeds import keyed_seed
from purification_bench.benchmark.train.precision import InPrecision, autocast
from purification_bench.benchmark.train.progress import Progress
from purification_bench.benchmark.train.settings import Settings
from purification_bench.benchmark.train.training_sets import AdversarialSets, Target
from purification_bench.defenses.base import Defense
from purification_bench.defenses.context import Split
from purification_bench.defenses.errors import UserError


class Training:
    """One training. It is the ``FitContext`` of a defense.

    Parameters
    ----------
    folder:
        For the state while it lasts, and the log: history.csv, sheets of images, the snapshots asked for.
    data:
        Images and labels of both parts of the training split.
    target:
        The frozen classifier that a defense is trained with; none: it sees none.
    trained:
        Gives other defenses with their weights.
    """

    def __init__(
        self,
        folder: Path,
        data: Mapping[Split, Images],
        settings: Settings,
        device: torch.device,
        target: Target | None = None,
        trained: Callable[[str], Defense] | None = None,
    ) -> None:
        target = target or Target(Classifier(), "", "")
        self.data = data
        self.settings = settings
        self.device = device
        self.classifier: nn.Module = target.classifier
        self._trained = trained
        self.progress = Progress(folder)
        self._console = Console(highlight=False, soft_wrap=True)
        self._epoch = 0
        self._attacks = 0
        self._reported: dict[str, float] | None = None
        self._eligible = True
        self._sets = AdversarialSets(target, settings.seed, settings.precision, device, self._console.print)

    def images(self, split: Split) -> Tensor:
        """Return the clean images of a part of the training split."""
        return self.data[split].x

    def labels(self, split: Split) -> Tensor:
        """Return the labels of the same images."""
        return self.data[split].y

    def adversarial(self, attack: str, eps: float, split: Split) -> Tensor:
        """Return adversarial images against the bare classifier, made once and kept in the cache directory."""
        return self._sets.of(self.data[split], split, attack, eps)

    @property
    def num_epochs(self) -> int:
        """How many epochs the training has in all."""
        return self.settings.epochs

    def attacked(
        self, model: nn.Module, attack: str, eps: float, x: Tensor, y: Tensor, *, judging: int | None = None
    ) -> Tensor:
        """Return a registered attack's images against a model in training; ``UserError`` for one that does nothing."""
        made: Attack = ATTACKS.create(attack)
        made.check(eps)
        if judging is not None:
            return guard.run(made, model, x, y, [eps], [keyed_seed("judge", judging)])[0]
        key = keyed_seed("adversary", self.settings.seed, self._epoch, self._attacks)
        self._attacks += 1
        return guard.run(made, InPrecision(model, self.autocast), x, y, [eps], [key])[0]

    def trained(self, defense: str) -> Defense:
        """Return a registered defense with its weights, frozen, in eval mode."""
        if self._trained is None:
            raise UserError(f"no weights of {defense!r} are at hand here")
        return self._trained(defense).requires_grad_(False)

    def batches(self) -> Iterator[Tensor]:
        """Yield one epoch's index batches over the training part, in an order that the seed and the epoch decide."""
        generator = torch.Generator().manual_seed(keyed_seed("order", self.settings.seed, self._epoch))
        yield from torch.randperm(len(self.data["train"].y), generator=generator).split(self.settings.batch_size)

    def autocast(self) -> torch.autocast:
        """Return the precision that the settings ask for, as a context."""
        return autocast(self.settings.precision, self.device)

    @contextlib.contextmanager
    def as_stored(self, model: nn.Module) -> Iterator[None]:
        """Give ``model``, while the block lasts, its weights as they will be stored: rounded, if they are."""
        if self.settings.storage == "whole":
            yield
            return
        exact = {name: value.clone() for name, value in model.state_dict().items()}
        model.load_state_dict(weight_files.decode(weight_files.encode(exact, self.settings.storage)))
        try:
            yield
        finally:
            model.load_state_dict(exact)

    def show(self, images: Tensor) -> None:
        """Write images of the epoch in flight into the log, as one sheet."""
        from torchvision.utils import save_image

        folder = self.progress.folder
        folder.mkdir(parents=True, exist_ok=True)
        save_image(images.float().cpu(), folder / f"epoch-{self._epoch + 1:04d}.png", nrow=16, padding=1)

    def report(self, score: float, **metrics: float) -> None:
        """Take the validation score of the epoch in flight."""
        self._reported = {"score": score, **metrics}

    def pass_over(self) -> None:
        """Never keep the epoch in flight, whatever its score."""
        self._eligible = False

    def epochs(self, *, model: Any, **others: Any) -> Iterator[int]:
        """Yield the epochs still to do, saving every part after each; at the end ``model`` is the best epoch's.

        Torch's generators are seeded by (seed, epoch) at the start of each epoch, so a resumed training ends with the
        same weights as an undisturbed one (on the CPU).
        """
        parts = {"model": model, **others}
        first, last = self._resume(parts), self.settings.last
        begun = time.monotonic()
        for epoch in range(first, last):
            if self._out_of_patience():
                break
            self._open_epoch(epoch)
            yield epoch
            self._close_epoch(parts)
            self._print_progress((time.monotonic() - begun) / (epoch - first + 1))
        if self.progress.best is None:
            raise UserError(f"--stop-after {last} ends before an epoch whose weights may be kept: give more")
        model.load_state_dict(self.progress.best.weights)

    @property
    def best(self) -> dict[str, float]:
        """The metrics of the epoch that was kept, its number among them; empty for a fit with a loop of its own."""
        return dict(self.progress.best.metrics) if self.progress.best else {}

    def _resume(self, parts: Mapping[str, Any]) -> int:
        """Restore what was interrupted; return how many epochs are over."""
        self.progress.resume(parts)
        done, last = len(self.progress.history), self.settings.last
        if done:
            self._console.print(f"resumed after epoch {done} of {self.settings.epochs}")
        if done > last:
            raise UserError(f"--stop-after {last} comes too late: epoch {done} of this training is over")
        self.progress.folder.mkdir(parents=True, exist_ok=True)
        self._console.print(f"log: {self.progress.folder}")
        return done

    def _open_epoch(self, epoch: int) -> None:
        self._epoch = epoch
        torch.manual_seed(keyed_seed("epoch", self.settings.seed, epoch))
        self._reported, self._eligible, self._attacks = None, True, 0

    def _close_epoch(self, parts: Mapping[str, Any]) -> None:
        if self._reported is None:
            raise UserError("fit must call context.report(score) in every epoch")
        self.progress.add(self._reported, parts["model"], eligible=self._eligible)
        self.progress.save(parts)
        if len(self.progress.history) in self.settings.snapshots:
            self.progress.save_snapshot(parts["model"])

    def _out_of_patience(self) -> bool:
        return self.settings.patience is not None and self.progress.epochs_since_best() >= self.settings.patience

    def _print_progress(self, seconds: float) -> None:
        metrics = self.progress.history[-1]
        shown = "  ".join(f"{name} {value:.4f}" for name, value in metrics.items() if name not in ("score", "epoch"))
        left = seconds * (self.settings.epochs - self._epoch - 1)
        self._console.print(
            f"epoch {self._epoch + 1}/{self.settings.epochs}  {shown}  {seconds:.0f} s an epoch, "
            f"{left / 60:.0f} min left"
        )
