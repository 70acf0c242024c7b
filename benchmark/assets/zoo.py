"""The zoo: trained weights as safetensors, each with a manifest entry that says where it comes from."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from purification_bench.benchmark.paths import SHIPPED_ZOO, user_zoo
from purification_bench.defenses.errors import UserError
from purification_bench.defenses.spec import Scalar, Spec
from purification_bench.leaderboard.results.atomic import replacing
from purification_bench.leaderboard.results.canonical import canonical_json, digest

if TYPE_CHECKING:
    from torch import nn

    from purification_bench.benchmark.assets.weight_files import Storage

MANIFEST = "manifest.json"
NAMED = 4
"""Weights that are named where those asked for are missing."""


class MissingWeightsError(UserError):
    """Nobody has trained what is asked for; the message has the command that does."""


@dataclass(frozen=True)
class Weights:
    """One manifest entry."""

    kind: str
    """``classifier`` or ``defense``."""
    name: str
    label: str
    dataset: str
    classifier: str | None
    """The target that a defense was trained with; None for a classifier, or a defense that saw none."""
    options: Mapping[str, Scalar]
    file: str
    sha256: str
    command: str
    """The command that trained it."""
    seed: int
    epochs: int
    train_images: int
    validation: Mapping[str, float]
    """Scores of the kept epoch on the validation part of the training split."""
    date: str
    versions: Mapping[str, str]
    folder: Path = field(default=Path(), compare=False)

    @property
    def place(self) -> str:
        """The data set, and the classifier that a defense was trained with."""
        return f"{self.dataset}, {self.classifier}" if self.classifier else self.dataset

    @property
    def scores(self) -> str:
        """The validation scores, for people."""
        return "validation " + ", ".join(f"{name} {value:.4f}" for name, value in self.validation.items())

    @property
    def path(self) -> Path:
        """Where the file lies."""
        return self.folder / self.file

    @property
    def identity(self) -> str:
        """What there is one set of weights of: a new training replaces an old one of the same identity."""
        return canonical_json([self.kind, self.name, self.dataset, self.classifier, dict(self.options)])


def search_path(zoo: Path | None = None) -> list[Path]:
    """Return the folders that weights are looked for in, first match first; ``zoo`` must exist."""
    if zoo is not None and not zoo.is_dir():
        raise UserError(f"--zoo {str(zoo)!r} is not a folder")
    return [*([zoo] if zoo else []), user_zoo(), SHIPPED_ZOO]


def entries(folders: Sequence[Path]) -> Iterator[Weights]:
    """Yield every entry of the manifests in ``folders``; raise ``UserError`` for a manifest that cannot be read."""
    for folder in folders:
        manifest = folder / MANIFEST
        if not manifest.is_file():
            continue
        try:
            for entry in json.loads(manifest.read_text(encoding="utf-8")):
                yield Weights(**entry, folder=folder)
        except (ValueError, TypeError) as error:
            raise UserError(f"zoo manifest {manifest} cannot be read: {error}") from error


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def find(folders: Sequence[Path], kind: str, spec: Spec, dataset: str, classifier: str | None) -> Weights:
    """Return the first weights for exactly these options; raise an error that says what there is instead."""
    candidates = [w for w in entries(folders) if w.kind == kind and w.name == spec.name]
    for weights in candidates:
        same_target = weights.classifier is None or weights.classifier == classifier
        if weights.dataset == dataset and same_target and dict(weights.options) == dict(spec.options):
            return weights
    against = f" against {classifier}" if classifier else ""
    near = sorted({w.label for w in candidates if w.dataset == dataset and w.classifier in (None, classifier)})
    far = sorted({f"{w.label} ({w.place})" for w in candidates})
    have = f"; there are {_some(near or far)}" if far else ""
    command = train_command(kind, spec.label, dataset, classifier)
    raise MissingWeightsError(
        f"no weights for {kind} {spec.label!r} on {dataset}{against}{have}. Train them: {command}"
    )


def _some(names: Sequence[str]) -> str:
    """Write some names out, and how many others there are."""
    others = f" and {len(names) - NAMED} others (bench list zoo)" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + others


def train_command(
    kind: str, name: str, dataset: str, classifier: str | None, settings: Mapping[str, Scalar] | None = None
) -> str:
    """Return the command line that trains ``name``, for a shell; settings that are None or False are left out."""
    words = ["bench", "train", kind, name, "--dataset", dataset]
    if kind == "defense" and classifier:
        words += ["--classifier", classifier]
    for setting, value in (settings or {}).items():
        if value is not None and value is not False:
            words += [_flag(setting)] if value is True else [_flag(setting), str(value)]
    return shlex.join(words)


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def load_into(model: nn.Module, weights: Weights) -> None:
    """Load weights after checking their digest; raise ``UserError`` for a missing, corrupt or unfitting file."""
    from lzma import LZMAError

    from safetensors import SafetensorError

    from purification_bench.benchmark.assets import weight_files

    if not weights.path.is_file():
        raise UserError(f"weight file {weights.path} is missing")
    if file_digest(weights.path) != weights.sha256:
        raise UserError(f"weight file {weights.path} is corrupt or truncated: its SHA-256 is not the manifest's")
    try:
        model.load_state_dict(weight_files.read(weights.path))
    except (SafetensorError, LZMAError, RuntimeError) as error:
        why = " ".join(str(error).split("\n")[:2]).replace("\t", "")
        raise UserError(f"weight file {weights.path} does not fit {weights.label}: {why}") from error


def add(folder: Path, model: nn.Module, *, storage: Storage = "whole", **facts: Any) -> Weights:
    """Write a model's weights and its manifest entry into ``folder``, replacing the entry of the same identity."""
    from filelock import FileLock

    from purification_bench.benchmark.assets import weight_files

    folder.mkdir(parents=True, exist_ok=True)
    new = Weights(**facts, file="", sha256="", folder=folder)
    path = folder / f"{_stem(new)}{weight_files.SUFFIX[storage]}"
    with FileLock(folder / ".lock"):
        with replacing(path) as partial:
            weight_files.write(partial, model.state_dict(), storage)
        new = replace(new, file=path.name, sha256=file_digest(path))
        _write_manifest(folder, [*(w for w in entries([folder]) if w.identity != new.identity), new])
    return new


def _stem(weights: Weights) -> str:
    """Return a readable file name; options, whose signs and brackets no file name should have, end it as a digest."""
    words = [weights.name, weights.dataset, weights.classifier or ""]
    if weights.options:
        words.append(digest(dict(weights.options))[:8])
    return re.sub(r"[^\w.]+", "-", "-".join(words)).strip("-").replace("--", "-")


def _write_manifest(folder: Path, weights: Sequence[Weights]) -> None:
    rows = []
    for entry in sorted(weights, key=lambda w: (w.kind, w.name, w.dataset, w.label)):
        row = asdict(entry)
        del row["folder"]
        rows.append(row)
    with replacing(folder / MANIFEST) as partial:
        partial.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
