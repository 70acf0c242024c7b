"""Somebody else's adversarial images, in an attack's place: whatever made them, they count if they keep the rules."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, is_zipfile

import numpy as np
import torch
from torch import Tensor, nn

from purification_bench.attacks.base import Attack
from purification_bench.defenses.errors import UserError
from purification_bench.defenses.spec import Spec

FACTS = ("name", "dataset", "norm", "eps")


@dataclass(frozen=True)
class Submission:
    """A file of adversarial images: for the first n of the dataset's fixed order, in that order."""

    name: str
    dataset: str
    norm: str
    eps: float
    x_adv: Tensor
    """float32 ``(n, C, H, W)`` in [0, 1]."""

    def write(self, file: Path) -> None:
        """Write an ``.npz`` with the images and, as JSON, what they are."""
        facts = json.dumps({fact: getattr(self, fact) for fact in FACTS})
        with file.open("wb") as stream:
            np.savez_compressed(stream, x_adv=self.x_adv.numpy(), facts=np.array(facts))

    @classmethod
    def read(cls, file: Path) -> Submission:
        """Read such a file; ``UserError`` where it is none."""
        if file.is_file() and not is_zipfile(file):
            raise UserError(f"{str(file)!r} is no file of adversarial images: it is no .npz file")
        try:
            with np.load(file, allow_pickle=False) as stored:
                x_adv, facts = torch.from_numpy(stored["x_adv"]), json.loads(str(stored["facts"]))
            if not isinstance(facts, dict):
                raise ValueError(f"its facts are {facts!r}")
            missing = [fact for fact in FACTS if fact not in facts]
        except (ValueError, KeyError, OSError, EOFError, BadZipFile, TypeError) as error:
            raise UserError(f"{str(file)!r} is no file of adversarial images: {error}") from error
        if missing:
            raise UserError(f"{str(file)!r}: its facts lack {', '.join(missing)}; they are {', '.join(FACTS)}")
        for fact in ("name", "dataset"):
            if not isinstance(facts[fact], str):
                raise UserError(f"{str(file)!r}: its {fact} must be a text, not {facts[fact]!r}")
        eps = facts["eps"]
        if facts["norm"] != "linf" or not isinstance(eps, int | float) or isinstance(eps, bool) or not 0 < eps <= 1:
            raise UserError(f"{str(file)!r}: norm must be linf and eps in (0, 1], not {facts['norm']!r} {eps!r}")
        if x_adv.ndim != 4 or x_adv.dtype != torch.float32:
            raise UserError(
                f"{str(file)!r}: x_adv must be float32 (n, C, H, W), not {x_adv.dtype} {tuple(x_adv.shape)}"
            )
        return cls(**{fact: facts[fact] for fact in FACTS}, x_adv=x_adv)


class Submitted(Attack):
    """Looks each image up in a submission. The guard sees to it that box and ball are kept."""

    needs = "nothing"
    gradients_per_image = 0

    def __init__(self, submission: Submission, clean: Tensor) -> None:
        sha256 = hashlib.sha256(submission.x_adv.numpy().tobytes()).hexdigest()
        self.spec = Spec("submitted", {"sha256": sha256}, f"submitted[{submission.name}]")
        self._found = {_digest(x): x_adv for x, x_adv in zip(clean, submission.x_adv, strict=True)}

    def perturb(self, model: nn.Module, x: Tensor, y: Tensor, eps: float) -> Tensor:
        """Return the submitted images of x."""
        return torch.stack([self._found[_digest(image)] for image in x.cpu()]).to(x.device)


def _digest(image: Tensor) -> Any:
    return hashlib.sha256(image.numpy().tobytes()).digest()
