"""Training classifiers and defenses: selected on a validation part, and kept in the zoo."""

from __future__ import annotations

import datetime
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from purification_bench.attacks import guard
from purification_bench.benchmark.assets import zoo
from purification_bench.benchmark.assets.classifiers import Classifier
from purification_bench.benchmark.assets.data import ImageDataset, Images
from purification_bench.benchmark.assets.loading import load_classifier, load_defense
from purification_bench.benchmark.environment import versions
from purification_bench.benchmark.facts import of_defense
from purification_bench.benchmark.paths import cache_dir
from purification_bench.benchmark.registries import CLASSIFIERS, DEFENSES
from purification_bench.benchmark.seeds import keyed_seed
from purification_bench.benchmark.train.context import Training
from purification_bench.benchmark.train.fitting import fit_classifier
from purification_bench.benchmark.train.settings import Settings
from purification_bench.benchmark.train.training_sets import Target
from purification_bench.defenses.base import Defense
from purification_bench.defenses.context import Split
from purification_bench.defenses.errors import UserError
from purification_bench.defenses.spec import Spec, write_spec
from purification_bench.leaderboard.results.canonical import digest


@dataclass(frozen=True)
class Job:
    """One training that is asked for: of what, on what, how, and where its weights go."""

    spec: Spec
    dataset: ImageDataset
    settings: Settings
    device: torch.device
    data_dir: Path | None
    zoo: Path

    def data(self) -> dict[Split, Images]:
        """Return both parts of the training split, as many images of each as are asked for."""
        settings = self.settings
        train = self.dataset.training_split("train", self.data_dir, settings.limit)
        if settings.limit is not None and settings.limit > len(train.y):
            raise UserError(
                f"--limit {settings.limit} exceeds the {len(train.y)} training images of {self.dataset.spec}"
            )
        if settings.batch_size > len(train.y):
            size = f"a batch of {settings.batch_size} exceeds the {len(train.y)} training images"
            raise UserError(f"{size}: give a --batch-size of as many at most")
        held_out = self.dataset.training_split("validation", self.data_dir)
        return {"train": train, "validation": Images(*(part[: settings.validation] for part in held_out))}

    def folder(self, identity: list[Any]) -> Path:
        """Return the folder of this training's state and log, which is one for each identity."""
        return cache_dir() / "training" / f"{self.spec.name}-{self.dataset.spec.name}-{digest(identity)[:12]}"


def train_classifier(job: Job) -> zoo.Weights:
    """Train a registered classifier and put its weights into the zoo."""
    spec, dataset, data = job.spec, job.dataset, job.data()
    identity: list[Any] = ["classifier", spec.name, dict(spec.options), dataset.spec.name, job.settings.recipe]
    torch.manual_seed(keyed_seed("weights", *identity))
    classifier: Classifier = CLASSIFIERS.create(spec, dataset.shape, dataset.num_classes)
    classifier.initialise()
    identity += [classifier.version, asdict(classifier.recipe), CLASSIFIERS.source_digest(spec.name)]
    teacher = _teacher(classifier, job)
    if teacher:
        identity.append(teacher[1])
    training = Training(job.folder(identity), data, job.settings, job.device)
    classifier.to(job.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    fit_classifier(classifier, training, teacher[0] if teacher else None)
    return _keep(classifier, training, job, "classifier", None)


def _teacher(classifier: Classifier, job: Job) -> tuple[Classifier, str] | None:
    """Return whose answers a classifier learns, if anybody's, with the digest of its weights."""
    if not classifier.teacher:
        return None
    spec = CLASSIFIERS.spec(classifier.teacher)
    teacher, weights = load_classifier(spec, job.dataset, job.device, zoo.search_path(job.zoo))
    return teacher, weights.sha256 if weights else ""


def train_defense(job: Job, target: Target | None) -> zoo.Weights:
    """Train a registered defense, with the ``target`` if it sees one, and put its weights into the zoo."""
    spec, dataset, data = of_defense(job.spec).training, job.dataset, job.data()
    against = target.classifier.spec.label if target else None
    identity: list[Any] = ["defense", spec.name, dict(spec.options), dataset.spec.name, against]
    identity += [target.weights if target else "", job.settings.recipe]
    torch.manual_seed(keyed_seed("weights", *identity))
    defense: Defense = DEFENSES.create(spec)
    defense.build(dataset.shape, dataset.num_classes)
    started = _start_from(defense, job, spec)
    defense.to(job.device)
    identity += [defense.version, DEFENSES.source_digest(spec.name), target.key if target else "", *started]
    training = Training(job.folder(identity), data, job.settings, job.device, target, partial(_other, job))
    with guard.eval_mode(training.classifier):
        defense.fit(training)
    return _keep(defense, training, job, "defense", against)


def _other(job: Job, text: str) -> Defense:
    """Return another defense, which sees no classifier, with its weights for the job's data set."""
    spec = DEFENSES.spec(text)
    return load_defense(spec, job.dataset, Spec("", {}, ""), job.device, zoo.search_path(job.zoo))[0]


def _start_from(defense: Defense, job: Job, spec: Spec) -> list[str]:
    """Load what the defense is before another classifier, if asked; return what tells those weights from others."""
    if job.settings.start_from is None:
        return []
    before = CLASSIFIERS.spec(job.settings.start_from).label
    weights = zoo.find(zoo.search_path(job.zoo), "defense", spec, job.dataset.spec.name, before)
    zoo.load_into(defense, weights)
    return [weights.sha256]


def _keep(model: nn.Module, training: Training, job: Job, kind: str, classifier: str | None) -> zoo.Weights:
    """Put trained weights into the zoo, with what is known of them; discard the state, if the training is over."""
    spec = of_defense(job.spec).training if kind == "defense" else job.spec
    settings, dataset, metrics = job.settings, job.dataset.spec.name, training.best
    weights = zoo.add(
        job.zoo,
        model,
        storage=settings.storage,
        kind=kind,
        name=spec.name,
        label=spec.label,
        dataset=dataset,
        classifier=classifier,
        options=dict(spec.options),
        command=zoo.train_command(kind, write_spec(spec.name, spec.options), dataset, classifier, settings.flags),
        seed=settings.seed,
        epochs=int(metrics.pop("epoch", settings.epochs)),
        train_images=len(training.labels("train")),
        validation={name: round(value, 6) for name, value in metrics.items() if name != "score"},
        date=datetime.datetime.now(datetime.UTC).date().isoformat(),
        versions=versions(),
    )
    if settings.last == settings.epochs:
        training.progress.discard()
    return weights
