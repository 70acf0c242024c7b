"""Training classifiers and defenses: resumable after every epoch, selected on a validation part, kept in the zoo."""

from __future__ import annotations

import contextlib
import csv
import datetime
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision.utils import save_image

from purification_bench.attacks import guard
from purification_bench.benchmark.assets import weight_files, zoo
from purification_bench.benchmark.assets.classifiers import Classifier
from purification_bench.benchmark.assets.data import ImageDataset, Images
from purification_bench.benchmark.assets.loading import training_spec
from purification_bench.benchmark.assets.weight_files import Storage
from purification_bench.benchmark.environment import versions
from purification_bench.benchmark.paths import cache_dir
from purification_bench.benchmark.registries import CLASSIFIERS, DEFENSES
from purification_bench.benchmark.seeds import keyed_seed
from purification_bench.benchmark.train.fitting import fit_classifier
from purification_bench.benchmark.train.precision import autocast
from purification_bench.benchmark.train.training_sets import AdversarialSets, Target
from purification_bench.defenses.base import Defense, Split, as_defense
from purification_bench.defenses.errors import UserError
from purification_bench.defenses.spec import Scalar, Spec
from purification_bench.leaderboard.results.atomic import replacing
from purification_bench.leaderboard.results.canonical import digest


@dataclass(frozen=True)
class Settings:
    """What the command line decides about one training."""

    epochs: int
    batch_size: int
    seed: int = 0
    patience: int | None = None
    """Stop when the validation score has not risen for so many epochs; None: never."""
    limit: int | None = None
    """Train on so many images; None: the whole training part."""
    validation: int | None = None
    """Select on so many validation images; None: on all."""
    precision: str = "float32"
    """``bfloat16`` trains, and attacks training images, under autocast (weights stay float32)."""
    snapshots: tuple[int, ...] = ()
    """Epochs whose weights are kept in the log as well."""
    storage: Storage = "whole"
    """How the weights are stored; what is judged, and shipped, is what is stored."""
    stop_after: int | None = None
    """End after so many epochs of a training that is laid out for ``epochs``, and keep its state; None: at the end."""
    start_from: str | None = None
    """Start from the weights that the defense has before this classifier; None: from random ones."""

    @property
    def last(self) -> int:
        """The number of the last epoch to do."""
        return min(self.epochs, self.stop_after or self.epochs)

    @property
    def recipe(self) -> dict[str, Scalar]:
        """What each epoch's training depends on."""
        recipe = asdict(self)
        del recipe["snapshots"], recipe["storage"], recipe["stop_after"]
        for later in ("validation", "start_from"):  # settings from before there were such are keyed as they were
            if recipe[later] is None:
                del recipe[later]
        return recipe

    @property
    def flags(self) -> dict[str, Scalar]:
        """What the command line says to get these weights."""
        stored = {flag: self.storage == flag for flag in ("half", "int8")}
        return {**self.recipe, "stop_after": self.stop_after, **stored}


class Training:
    """One training: the data, where its state is kept, and the loop over epochs. It is a ``FitContext``."""

    def __init__(
        self, name: str, identity: Any, data: dict[Split, Images], settings: Settings, device: torch.device,
        target: Target | None = None,
    ) -> None:  # fmt: skip
        self.data = data
        self.settings = settings
        self.device = device
        target = target or Target(Classifier(), "", "")
        self.classifier: nn.Module = target.classifier
        self._report_due = False
        self._passed_over = False
        self.folder = cache_dir() / "training" / f"{name}-{digest(identity)[:12]}"
        """The state while it lasts, and the log: history.csv, sheets of images, the snapshots asked for."""
        self._console = Console(highlight=False, soft_wrap=True)
        self._epoch = 0
        self._history: list[dict[str, float]] = []
        self._best: dict[str, Any] = {}
        self._reported: dict[str, float] = {}
        self._sets = AdversarialSets(target, settings.seed, settings.precision, device, self._console.print)

    def images(self, split: Split) -> Tensor:
        """Return the clean images of a part of the training split."""
        return self.data[split].x

    def labels(self, split: Split) -> Tensor:
        """Return the labels of the same images."""
        return self.data[split].y

    def batches(self) -> Iterator[Tensor]:
        """Yield one epoch's index batches over the training part, in an order that the seed and the epoch decide."""
        generator = torch.Generator().manual_seed(keyed_seed("order", self.settings.seed, self._epoch))
        yield from torch.randperm(len(self.data["train"].y), generator=generator).split(self.settings.batch_size)

    def autocast(self) -> torch.autocast:
        """Return the precision that the settings ask for, as a context."""
        return autocast(self.settings.precision, self.device)

    def show(self, images: Tensor) -> None:
        """Write images of the epoch in flight into the log, as one sheet."""
        self.folder.mkdir(parents=True, exist_ok=True)
        save_image(images.float().cpu(), self.folder / f"epoch-{self._epoch + 1:04d}.png", nrow=16, padding=1)

    def report(self, score: float, **metrics: float) -> None:
        """Take the validation score of the epoch in flight."""
        self._reported = {"score": score, **metrics}
        self._report_due = False

    def pass_over(self) -> None:
        """Never keep the epoch in flight, whatever its score."""
        self._passed_over = True

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

    def epochs(self, *, model: Any, **others: Any) -> Iterator[int]:
        """Yield the epochs still to do, saving every part after each; at the end ``model`` is the best epoch's.

        Torch's generators are seeded by (seed, epoch) at the start of each epoch, so a resumed training ends with the
        same weights as an undisturbed one (on the CPU).
        """
        parts = {"model": model, **others}
        start = self._restore(parts)
        last = self.settings.last
        if start > last:
            raise UserError(f"--stop-after {last} comes too late: epoch {start} of this training is over")
        self.folder.mkdir(parents=True, exist_ok=True)
        self._console.print(f"log: {self.folder}")
        begun = time.monotonic()
        for epoch in range(start, last):
            if self._out_of_patience():
                break
            self._epoch = epoch
            torch.manual_seed(keyed_seed("epoch", self.settings.seed, epoch))
            self._report_due, self._passed_over = True, False
            yield epoch
            if self._report_due:
                raise RuntimeError("fit must call context.report(score) in every epoch")
            self._close_epoch(parts)
            self._print_progress(epoch, (time.monotonic() - begun) / (epoch - start + 1))
        model.load_state_dict(self._best["model"])

    @property
    def best(self) -> dict[str, float]:
        """The metrics of the epoch that was kept, its number among them; empty for a fit with a loop of its own."""
        return dict(self._best.get("metrics", {}))

    def discard(self) -> None:
        """Remove the saved state: the training is over. The log stays."""
        (self.folder / "state.pt").unlink(missing_ok=True)

    def adversarial(self, attack: str, eps: float, split: Split) -> Tensor:
        """Return adversarial images against the bare classifier, made once and kept in the cache directory."""
        return self._sets.of(self.data[split], split, attack, eps)

    def _restore(self, parts: dict[str, Any]) -> int:
        path = self.folder / "state.pt"
        if not path.is_file():
            return 0
        state = torch.load(path, map_location="cpu", weights_only=True)
        for name, part in parts.items():
            part.load_state_dict(state["parts"][name])
        self._history, self._best = state["history"], state["best"]
        self._console.print(f"resumed after epoch {len(self._history)} of {self.settings.epochs}")
        return len(self._history)

    def _close_epoch(self, parts: dict[str, Any]) -> None:
        metrics = {**self._reported, "epoch": float(len(self._history) + 1)}
        self._history.append(metrics)
        if not self._passed_over and (not self._best or metrics["score"] > self._best["metrics"]["score"]):
            weights = {name: value.detach().cpu().clone() for name, value in parts["model"].state_dict().items()}
            self._best = {"model": weights, "metrics": metrics}
        self._log(parts["model"])
        state = {
            "parts": {name: part.state_dict() for name, part in parts.items()},
            "history": self._history,
            "best": self._best,
        }
        with replacing(self.folder / "state.pt") as partial:
            torch.save(state, partial)

    def _log(self, model: Any) -> None:
        with (self.folder / "history.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, ["epoch", *(name for name in self._history[0] if name != "epoch")])
            writer.writeheader()
            writer.writerows(self._history)
        if len(self._history) in self.settings.snapshots:
            weights = {name: value.contiguous().cpu() for name, value in model.state_dict().items()}
            save_file(weights, self.folder / f"epoch-{len(self._history):04d}.safetensors")

    def _out_of_patience(self) -> bool:
        if self.settings.patience is None or not self._best:
            return False
        return len(self._history) - int(self._best["metrics"]["epoch"]) >= self.settings.patience

    def _print_progress(self, epoch: int, seconds: float) -> None:
        shown = "  ".join(f"{name} {value:.4f}" for name, value in self._reported.items() if name != "score")
        left = seconds * (self.settings.epochs - epoch - 1)
        self._console.print(
            f"epoch {epoch + 1}/{self.settings.epochs}  {shown}  {seconds:.0f} s an epoch, {left / 60:.0f} min left"
        )


def train_classifier(
    spec: Spec, dataset: ImageDataset, settings: Settings, device: torch.device, data_dir: Path | None, folder: Path
) -> zoo.Weights:
    """Train a registered classifier and put its weights into the zoo in ``folder``."""
    data = _training_data(dataset, data_dir, settings)
    identity: list[Any] = ["classifier", spec.name, dict(spec.options), dataset.spec.name, settings.recipe]
    torch.manual_seed(keyed_seed("weights", *identity))
    classifier: Classifier = CLASSIFIERS.create(spec, dataset.shape, dataset.num_classes)
    classifier.initialise()
    identity += [classifier.version, asdict(classifier.recipe), CLASSIFIERS.source_digest(spec.name)]
    training = Training(f"{spec.name}-{dataset.spec.name}", identity, data, settings, device)
    classifier.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    fit_classifier(classifier, training)
    return _finish(training, classifier, folder, "classifier", spec, dataset.spec.name, None)


def train_defense(
    spec: Spec, dataset: ImageDataset, target: Target | None, settings: Settings, device: torch.device,
    data_dir: Path | None, folder: Path,
) -> zoo.Weights:  # fmt: skip
    """Train a registered defense, with the ``target`` if it sees one; its weights go into the zoo in ``folder``."""
    data = _training_data(dataset, data_dir, settings)
    spec = training_spec(spec)
    against = target.classifier.spec.label if target else None
    identity: list[Any] = ["defense", spec.name, dict(spec.options), dataset.spec.name, against]
    identity += [target.weights if target else "", settings.recipe]
    torch.manual_seed(keyed_seed("weights", *identity))
    defense = as_defense(DEFENSES.create(spec))
    defense.build(dataset.shape, dataset.num_classes)
    started = _start_from(defense, spec, dataset, settings.start_from, folder) if settings.start_from else []
    defense.to(device)
    identity += [defense.version, DEFENSES.source_digest(spec.name), target.key if target else "", *started]
    training = Training(f"{spec.name}-{dataset.spec.name}", identity, data, settings, device, target)
    with guard.eval_mode(training.classifier):
        defense.fit(training)
    return _finish(training, defense, folder, "defense", spec, dataset.spec.name, against)


def _start_from(defense: Defense, spec: Spec, dataset: ImageDataset, classifier: str, folder: Path) -> list[str]:
    """Load what the defense is before another classifier; return what tells those weights from others."""
    before = zoo.find(zoo.search_path(folder), "defense", spec, dataset.spec.name, CLASSIFIERS.spec(classifier).label)
    zoo.load_into(defense, before)
    return [before.sha256]


def _training_data(dataset: ImageDataset, data_dir: Path | None, settings: Settings) -> dict[Split, Images]:
    train = dataset.training_split("train", data_dir, settings.limit)
    if settings.batch_size > len(train.y):
        raise UserError(f"--batch-size {settings.batch_size} exceeds the {len(train.y)} training images")
    held_out = dataset.training_split("validation", data_dir)
    chosen = Images(*(part[: settings.validation] for part in held_out))
    return {"train": train, "validation": chosen}


def _finish(
    training: Training, model: nn.Module, folder: Path, kind: str, spec: Spec, dataset: str, classifier: str | None
) -> zoo.Weights:
    settings, scores = training.settings, training.best
    weights = zoo.add(
        folder, model, storage=settings.storage, kind=kind, name=spec.name, label=spec.label, dataset=dataset,
        classifier=classifier, options=dict(spec.options),
        command=zoo.train_command(kind, spec, dataset, classifier, settings.flags),
        seed=settings.seed, epochs=int(scores.pop("epoch", settings.epochs)),
        train_images=len(training.labels("train")),
        validation={name: round(value, 6) for name, value in scores.items() if name != "score"},
        date=datetime.datetime.now(datetime.UTC).date().isoformat(), versions=versions(),
    )  # fmt: skip
    if settings.last == settings.epochs:
        training.discard()
    return weights
