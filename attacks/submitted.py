"""Somebody else's adversarial images, in an attack's place: whatever made them, they count if they keep the rules."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, is_zipfile

import numpy as np
import torch
from torch import Tensor, nn

from purification_bench.attacks.ball import Ball
from purification_bench.attacks.base import Attack
from purification_bench.attacks.threat import Norm
from purification_bench.defenses.errors import UserError
from purification_bench.defenses.spec import Spec

FACTS = ("name", "dataset", "norm", "eps")
ROUNDING = 2**-11
"""By how much float16 may round a pixel of [0, 1]."""
NORMS = ("linf", "l2")


@dataclass(frozen=True)
class Submission:
    """A file of adversarial images of a data set's test split."""

    name: str
    dataset: str
    norm: Norm
    eps: float
    """The largest distance from the clean image, in pixel units."""
    x_adv: Tensor
    """float32 ``(n, C, H, W)`` in [0, 1]."""
    index: Tensor | None = None
    """Which images of the test split, in its published order, they are of, ``(n,)``; None: the first n that the
    benchmark judges, in its own order."""
    labels: Tensor | None = None
    """What their author takes for the labels ``(n,)``, to be checked; None: not told."""
    rounded: bool = False
    """Its pixels were stored as float16, whose rounding may lead out of the ball: they are brought back."""

    def write(self, file: Path) -> None:
        """Write an ``.npz`` with the images and, as JSON, what they are."""
        facts = json.dumps({fact: getattr(self, fact) for fact in FACTS})
        also = {name: getattr(self, name) for name in ("index", "labels")}
        arrays = {name: values.numpy() for name, values in also.items() if values is not None}
        pixels = self.x_adv.half() if self.rounded else self.x_adv
        with file.open("wb") as stream:
            np.savez_compressed(stream, x_adv=pixels.numpy(), facts=np.array(facts), **arrays)

    @classmethod
    def read(cls, file: Path) -> Submission:
        """Read such a file; ``UserError`` where it is none."""
        if file.is_file() and not is_zipfile(file):
            raise UserError(f"{str(file)!r} is no file of adversarial images: it is no .npz file")
        try:
            with np.load(file, allow_pickle=False) as stored:
                arrays = {name: torch.from_numpy(stored[name]) for name in stored.files if name != "facts"}
                x_adv, facts = arrays["x_adv"], json.loads(str(stored["facts"]))
            if not isinstance(facts, dict):
                raise ValueError(f"its facts are {facts!r}")
        except (ValueError, KeyError, OSError, EOFError, BadZipFile, TypeError) as error:
            raise UserError(f"{str(file)!r} is no file of adversarial images: {error}") from error
        complaint = _wrong_facts(facts) or _wrong_arrays(arrays)
        if complaint:
            raise UserError(f"{str(file)!r}: {complaint}")
        index, labels = (arrays[name].long() if name in arrays else None for name in ("index", "labels"))
        name, dataset, norm, eps = (facts[fact] for fact in FACTS)
        return cls(name, dataset, norm, eps, x_adv.float(), index, labels, x_adv.dtype == torch.float16)

    def kept_inside(self, x: Tensor) -> Tensor:
        """Return the images; where float16 rounded them out of the balls around clean ones, those brought back.

        An image that is further out stays there, for the guard to refuse.
        """
        if not self.rounded:
            return self.x_adv
        inside = Ball(self.eps, self.norm).inside(x, self.x_adv)
        near = (inside - self.x_adv).flatten(1).abs().amax(dim=1) <= ROUNDING
        return torch.where(near[:, None, None, None], inside, self.x_adv)


def _wrong_facts(facts: Mapping[str, Any]) -> str:
    missing = [fact for fact in FACTS if fact not in facts]
    if missing:
        return f"its facts lack {', '.join(missing)}; they are {', '.join(FACTS)}"
    for fact in ("name", "dataset"):
        if not isinstance(facts[fact], str):
            return f"its {fact} must be a text, not {facts[fact]!r}"
    norm, eps = facts["norm"], facts["eps"]
    if norm not in NORMS:
        return f"norm must be linf or l2, not {norm!r}"
    if not isinstance(eps, int | float) or isinstance(eps, bool):
        return f"eps must be a number, not {eps!r}"
    if not 0 < eps < math.inf or (norm == "linf" and eps > 1):
        return f"eps must lie in {'(0, 1]' if norm == 'linf' else '(0, inf)'}, not {eps!r}"
    return ""


def _wrong_arrays(arrays: Mapping[str, Tensor]) -> str:
    x_adv = arrays["x_adv"]
    if x_adv.ndim != 4 or x_adv.dtype not in (torch.float32, torch.float16):
        return f"x_adv must be float32 or float16 (n, C, H, W), not {x_adv.dtype} {tuple(x_adv.shape)}"
    if not len(x_adv):
        return "x_adv holds no image"
    for name in ("index", "labels"):
        values = arrays.get(name)
        if values is not None and (values.shape != x_adv.shape[:1] or values.is_floating_point()):
            return f"{name} must be whole numbers ({len(x_adv)},), not {values.dtype} {tuple(values.shape)}"
    index = arrays.get("index")
    return "index names an image twice" if index is not None and len(index.unique()) < len(index) else ""


class Submitted(Attack):
    """Looks each image up in a submission. The guard sees to it that box and ball are kept.

    Parameters
    ----------
    clean:
        The images ``(n, C, H, W)`` that the submission's are of, in its order.
    """

    needs = "nothing"
    gradients_per_image = 0

    def __init__(self, submission: Submission, clean: Tensor) -> None:
        x_adv = submission.kept_inside(clean)
        sha256 = hashlib.sha256(submission.x_adv.numpy().tobytes()).hexdigest()
        self.spec = Spec("submitted", {"sha256": sha256}, f"submitted[{submission.name}]")
        self.norm = submission.norm  # type: ignore[misc]
        self._found = {_digest(x): found for x, found in zip(clean, x_adv, strict=True)}

    def perturb(self, model: nn.Module, x: Tensor, y: Tensor, eps: float) -> Tensor:
        """Return the submitted images of x."""
        return torch.stack([self._found[_digest(image)] for image in x.cpu()]).to(x.device)


def _digest(image: Tensor) -> Any:
    return hashlib.sha256(image.numpy().tobytes()).digest()
