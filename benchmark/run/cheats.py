"""What a defense may know that no purifier can: the images it is judged on, those it has seen, numbers of its own.

Each is asked on a few images under noise of the size that rows are compared at, which stands for an attack.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from purification_bench.attacks.seeding import seeded
from purification_bench.benchmark.run.contract import IMAGES, differing, purified
from purification_bench.benchmark.run.judge import Judge
from purification_bench.benchmark.seeds import keyed_seed

TURN = math.radians(5)
"""By how much fresh images are turned."""


@dataclass(frozen=True)
class Cheats:
    """What is asked of a defense before it sees clean images, and after.

    Parameters
    ----------
    x:
        The judged images ``(n, C, H, W)``; the first few are used.
    eps:
        Size of the noise, in pixel units: every pixel moves by so much, up or down.
    """

    judge: Judge
    x: Tensor
    eps: float

    @cached_property
    def at_first(self) -> Tensor | None:
        """What it answers before any clean image: to be asked for first."""
        with torch.no_grad():
            return purified(self.judge, self._noisy(self._few))

    @torch.no_grad()
    def probe(self) -> dict[str, bool | float]:
        """Return what comes of it once the defense has seen all clean images.

        Returns
        -------
        error_on_judged, error_on_fresh:
            Median over images of the mean square error that purified noisy images keep; on the judged images, and on
            the same moved by a pixel, or turned by five degrees, whichever is less.
        differs_after_clean_images:
            Share of noisy images that are purified otherwise than before the defense saw the clean ones. Absent where
            two calls in a row differ.
        draws_elsewhere:
            Two calls in a row differ under one seed of torch, and agree where numpy and ``random`` are seeded as well.
        """
        noisy = self._noisy(self._few)
        again, once_more = purified(self.judge, noisy), purified(self.judge, noisy)
        found: dict[str, bool | float] = dict(self._errors(again))
        unsteady = differing(again, once_more) > 0
        if not unsteady:
            found["differs_after_clean_images"] = differing(self.at_first, again)
        return {**found, "draws_elsewhere": unsteady and self._steady_where_all_are_seeded(noisy)}

    @property
    def _few(self) -> Tensor:
        return self.x[:IMAGES].to(self.judge.device)

    def _noisy(self, x: Tensor) -> Tensor:
        with seeded(keyed_seed("cheats", self.judge.seed), x.device):
            return (x + self.eps * (2 * torch.randint_like(x, 2) - 1)).clamp(0, 1)

    def _errors(self, again: Tensor | None) -> dict[str, float]:
        fresh = [_error(purified(self.judge, self._noisy(moved)), moved) for moved in _moved(self._few)]
        errors = [_error(again, self._few), *fresh]
        known = [error for error in errors if error is not None]
        if len(known) < len(errors):
            return {}
        return {
            "error_on_judged": float(known[0].median()),
            "error_on_fresh": float(torch.stack(known[1:]).amin(dim=0).median()),
        }

    def _steady_where_all_are_seeded(self, x: Tensor) -> bool:
        answers = []
        with _other_generators_held():
            for _ in range(2):
                np.random.seed(0)
                random.seed(0)
                answers.append(purified(self.judge, x))
        return differing(*answers) == 0


def _error(answer: Tensor | None, x: Tensor) -> Tensor | None:
    return None if answer is None else (answer - x).square().mean(dim=(1, 2, 3))


def _moved(x: Tensor) -> Iterator[Tensor]:
    """Yield the images moved by one pixel down and right, then turned about their middle."""
    yield F.pad(x, (1, 0, 1, 0), mode="replicate")[:, :, :-1, :-1]
    cosine, sine = math.cos(TURN), math.sin(TURN)
    turn = torch.tensor([[cosine, -sine, 0.0], [sine, cosine, 0.0]], device=x.device).expand(len(x), 2, 3)
    grid = F.affine_grid(turn, list(x.shape), align_corners=False)
    yield F.grid_sample(x, grid, padding_mode="border", align_corners=False).clamp(0, 1)


@contextmanager
def _other_generators_held() -> Iterator[None]:
    """Leave numpy's generator and Python's as they were."""
    states = np.random.get_state(), random.getstate()
    try:
        yield
    finally:
        np.random.set_state(states[0])
        random.setstate(states[1])
