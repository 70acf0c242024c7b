"""A cached workbench: each data set, classifier and defense is loaded once, and dropped when no unit needs it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from purification_bench.attacks.protocol import PROTOCOLS
from purification_bench.benchmark.assets.always_training import AlwaysTraining
from purification_bench.benchmark.assets.classifiers import Classifier
from purification_bench.benchmark.assets.data import ImageDataset, Images
from purification_bench.benchmark.assets.loading import load_classifier, load_defense
from purification_bench.benchmark.environment import describe
from purification_bench.benchmark.facts import plug_in
from purification_bench.benchmark.registries import DATASETS
from purification_bench.benchmark.run import contract
from purification_bench.benchmark.run.cells import AccuracyCell, Judged, Plan, Setting
from purification_bench.benchmark.run.cheats import Cheats
from purification_bench.benchmark.run.imitation import EPOCHS, PAIRS, imitation
from purification_bench.benchmark.run.judge import Judge
from purification_bench.benchmark.run.profile import Profile
from purification_bench.benchmark.run.progress import Progress
from purification_bench.benchmark.run.units import Unit, defenses_of, setting_of
from purification_bench.defenses.base import Defense
from purification_bench.defenses.errors import UserError
from purification_bench.defenses.faults import FAULTS, told
from purification_bench.defenses.spec import Spec
from purification_bench.leaderboard.results.verdicts import Verdicts

T = TypeVar("T")


class CannotBeJudgedError(RuntimeError):
    """A defense cannot be made, or fails on clean images: the message is the reason that its rows give."""


@dataclass(frozen=True)
class OnClean:
    """What clean images said of a defense."""

    verdicts: Verdicts
    contract: dict[str, bool | float]
    """How it keeps to its contract."""


class Workbench:
    """What units are computed with, on one device.

    Parameters
    ----------
    data_dir:
        Where data sets are looked for first; None: in ``BENCH_DATA``, the package, the cache.
    folders:
        Where weights are looked for, first match first.
    """

    def __init__(self, device: torch.device, data_dir: Path | None, folders: Sequence[Path]) -> None:
        self.device = device
        self.data_dir = data_dir
        self.folders = folders
        self._kept: dict[tuple[Hashable, ...], Any] = {}
        self._waiting: Counter[tuple[Hashable, ...]] = Counter()
        self.profile = Profile()

    @cached_property
    def environment(self) -> dict[str, Any]:
        """The machine and the versions, for results."""
        return describe(self.device.type)

    def images(self, setting: Setting) -> Images:
        """Return the judged images of a setting; raise ``UserError`` where there are not so many."""
        place = ("images", setting.dataset.label, setting.n)
        images: Images = self._once(place, lambda: plug_in(self._dataset(setting).judged, setting.n, self.data_dir))
        return images

    def mark(self, setting: Setting) -> float:
        """Return the data set's mark."""
        return self._dataset(setting).eps

    def classifier(self, setting: Setting) -> Classifier:
        """Return the classifier of a setting, as its protocol runs it."""
        place = ("classifier", setting.dataset.label, setting.classifier.label, setting.protocol)
        return self._once(place, lambda: self._load_classifier(setting))

    def substitute(self, setting: Setting, spec: Spec) -> Classifier:
        """Return another classifier, to be attacked in place of the setting's."""
        place = ("classifier", setting.dataset.label, spec.label)
        dataset = self._dataset(setting)
        return self._once(place, lambda: load_classifier(spec, dataset, self.device, self.folders)[0])

    def defense(self, setting: Setting, spec: Spec) -> Defense:
        """Return a defense; raise ``CannotBeJudgedError`` for one whose code fails while it is made."""
        made: Defense | str = self._once(self._place(setting, spec), lambda: self._load_defense(setting, spec))
        if isinstance(made, str):
            raise CannotBeJudgedError(made)
        return made

    def judge(self, setting: Setting, judged: Judged) -> Judge:
        """Return the judge of a defense."""
        return Judge(
            self.defense(setting, judged.spec),
            self.classifier(setting),
            judged.spec.label,
            judged.stochastic,
            judged.draws,
            setting.seed,
            setting.batch_size,
            self.device,
            PROTOCOLS[setting.protocol].box,
            self.profile,
        )

    def on_clean(
        self, setting: Setting, judged: Judged, progress: Progress, only: NDArray[np.bool_] | None = None
    ) -> OnClean:
        """Judge a defense on clean images (``only`` some), once; raise ``CannotBeJudgedError`` if it fails on them."""
        place = (
            *self._place(setting, judged.spec),
            setting.key,
            judged.draws,
            None if only is None else only.tobytes(),
        )
        known: OnClean | str = self._once(place, lambda: self._judge_clean(setting, judged, progress, only))
        if isinstance(known, str):
            raise CannotBeJudgedError(known)
        return known

    def imitation(self, setting: Setting, judged: Judged, progress: Progress) -> nn.Module:
        """Return a network fitted to a defense, from the cache or made; ``UserError`` without a training split."""
        place = (*self._place(setting, judged.spec), "imitation")

        def fit() -> nn.Module:
            x, y = plug_in(self._dataset(setting).training_split, "train", self.data_dir, PAIRS)
            judge, mark = self.judge(setting, judged), self.mark(setting)
            with progress.task(f"{setting.where}: imitating {judged.spec.label}", EPOCHS * len(y)) as advance:
                return imitation(judge, Images(x, y), mark, judged.identity, setting.identity, advance)

        return self._once(place, fit)

    def once_for(self, cell: AccuracyCell, what: str, make: Callable[[], T]) -> T:
        """Return what is measured once of the model that a cell's attacker sees."""
        bare = ("classifier", cell.setting.dataset.label)
        seen = self._place(cell.setting, cell.defense.spec) if cell.seen else bare
        threat = cell.attack.threat if cell.attack else ""
        return self._once((*seen, cell.setting.key, what, threat), make)

    def expect(self, units: Sequence[Unit]) -> None:
        """Learn which units will come, so that what none of them needs can be dropped."""
        self._waiting = Counter(place for unit in units for place in self._needs(unit))

    def done(self, unit: Unit) -> None:
        """Drop what no unit needs that is still to come."""
        self._waiting.subtract(self._needs(unit))
        over = [place for place, left in self._waiting.items() if left <= 0]
        for place in [kept for kept in self._kept if any(kept[: len(place)] == place for place in over)]:
            del self._kept[place]
        for place in over:
            del self._waiting[place]

    def rehearse(self, plan: Plan) -> None:
        """Load images and classifiers of a plan once; raise ``UserError`` for what cannot be had."""
        for setting in {cell.setting.key: cell.setting for cell in plan.cells}.values():
            with self.profile.phase("load"):
                self.images(setting)
                self.classifier(setting)

    def _needs(self, unit: Unit) -> list[tuple[Hashable, ...]]:
        setting = setting_of(unit)
        dataset = setting.dataset.label
        return [
            ("images", dataset, setting.n),
            ("classifier", dataset),
            *(self._place(setting, spec) for spec in defenses_of(unit)),
        ]

    def _place(self, setting: Setting, spec: Spec) -> tuple[Hashable, ...]:
        return ("defense", setting.dataset.label, setting.classifier.label, spec.label)

    def _once(self, place: tuple[Hashable, ...], make: Callable[[], T]) -> T:
        if place not in self._kept:
            self._kept[place] = make()
        made: T = self._kept[place]
        return made

    def _dataset(self, setting: Setting) -> ImageDataset:
        made: ImageDataset = self._once(("dataset", setting.dataset.label), lambda: DATASETS.create(setting.dataset))
        return made

    def _load_classifier(self, setting: Setting) -> Classifier:
        spec, dataset = setting.classifier, self._dataset(setting)
        classifier, _ = plug_in(load_classifier, spec, dataset, self.device, self.folders)
        made: Classifier = classifier if PROTOCOLS[setting.protocol].eval_mode else AlwaysTraining(classifier)
        return made

    def _load_defense(self, setting: Setting, spec: Spec) -> Defense | str:
        try:
            dataset = self._dataset(setting)
            with self.profile.phase("load"):
                return load_defense(spec, dataset, setting.classifier, self.device, self.folders)[0]
        except UserError:
            raise
        except FAULTS as error:
            return told(error, " while it was made")

    def _judge_clean(
        self, setting: Setting, judged: Judged, progress: Progress, only: NDArray[np.bool_] | None
    ) -> OnClean | str:
        x, y = self.images(setting)
        if only is not None:
            x, y = x[only], y[only]
        text = f"{setting.where}: {judged.spec.label} on clean images"
        try:
            judge = self.judge(setting, judged)
            cheats = Cheats(judge, x, self.mark(setting))
            with self.profile.phase("probe"):
                _ = cheats.at_first
            with progress.task(text, len(y) * judged.passes) as advance:
                judged_clean = judge.judge(x, y, advance)
            with self.profile.phase("probe"):
                kept = contract.probe(judge, x) | cheats.probe()
            if judged_clean.rejected is not None:
                kept["rejected_clean_share"] = judged_clean.rejected
            verdicts = judged_clean.verdicts
            return OnClean(verdicts if only is None else verdicts.among(only), kept)
        except CannotBeJudgedError as error:
            return str(error)
        except UserError:
            raise
        except FAULTS as error:
            return told(error)
