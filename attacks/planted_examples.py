"""Adversarial examples that are there by construction: an attack that works finds one.

For each image a linear read-out of the classifier's last features is made that tells one random corner of the ball from
the image and from other corners: an adversarial example of that read-out exists. After Zimmermann et al. (2022).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from purification_bench.attacks import guard
from purification_bench.attacks.base import Attack
from purification_bench.attacks.seeding import seeded

OTHERS = 48
"""Points, the image and random corners, that each read-out must tell from the planted corner."""
GAP = 0.9
"""Where the read-out's threshold lies between the highest of the others' scores (0) and the planted one's (1)."""
RIDGE = 1e-2
"""Regularisation of the read-outs, as a share of the features' mean variance."""
RESOLUTION = 1e-5
"""Features that differ by less, as a share of the largest, are one: what tells them apart is rounding."""
ENOUGH = 8
"""Planted examples below which none is looked for: their share would say nothing."""
TRIES = 20
"""Random corners that are tried in place of the attack: what chance finds."""


def search(
    attack: Attack, model: nn.Module, last: nn.Linear, x: Tensor, eps: float, seed: int, samples: int
) -> dict[str, float]:
    """Plant an adversarial example near each image and look for it.

    Parameters
    ----------
    model:
        What the attack differentiates; ``last`` is the layer in it whose input counts as the features.
    x, eps, seed, samples:
        Images ``(N, C, H, W)`` in [0, 1], and the attack's size, seed and gradients to average, as for ``guard.run``.

    Returns
    -------
    planted_images:
        Images for which a read-out could be made that knows its planted example again.
    planted_found_share, planted_by_chance_share:
        Shares of those where the attack, and where any of random corners of the ball, met the planted class. Absent
        where there are fewer than ``ENOUGH``.
    """
    with guard.eval_mode(model), seeded(seed, x.device), torch.no_grad():
        corner = _corner(x, eps)
        readouts = _Readouts(model, last, corner, [x, *(_corner(x, eps) for _ in range(OTHERS - 1))])
        planted = readouts.possible & (readouts(corner).argmax(dim=1) == 1)  # in another draw, too
    if (images := int(planted.sum())) < ENOUGH:
        return {"planted_images": images}
    (x_adv,) = guard.run(attack, readouts, x, torch.zeros_like(planted, dtype=torch.long), [eps], [seed], samples)
    with guard.eval_mode(model), seeded(seed + 1, x.device), torch.no_grad():
        met = readouts(x_adv).argmax(dim=1)[planted] == 1
        lucky = torch.stack([readouts(_corner(x, eps)).argmax(dim=1)[planted] == 1 for _ in range(TRIES)]).any(dim=0)
    return {
        "planted_images": images,
        "planted_found_share": float(met.float().mean()),
        "planted_by_chance_share": float(lucky.float().mean()),
    }


class _Readouts(nn.Module):
    """A classifier of two classes for each image: class 1 is where its planted example lies."""

    def __init__(self, model: nn.Module, last: nn.Linear, planted: Tensor, others: Sequence[Tensor]) -> None:
        super().__init__()
        self.model, self.last = model, last
        features = self._features(planted)
        beside = torch.stack([self._features(points) for points in others], dim=1)
        self.weight = _discriminant(beside, features)
        highest = torch.einsum("npf,nf->np", beside, self.weight).amax(dim=1)
        score = (features * self.weight).sum(dim=1)
        apart = (beside - features[:, None]).abs().amax(dim=(1, 2)) > RESOLUTION * features.abs().amax(dim=1)
        self.possible = apart & (score > highest)
        self.threshold = torch.lerp(highest, score, GAP)
        self.scale = 1 / (score - highest).clamp(min=1e-12)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits ``(N, 2)``, or of stacked copies of the images ``(samples * N, 2)``."""
        copies = len(x) // len(self.weight)
        score = (self._features(x) * self.weight.repeat(copies, 1)).sum(dim=1)
        score = (score - self.threshold.repeat(copies)) * self.scale.repeat(copies)
        return torch.stack([-score, score], dim=1)

    def _features(self, x: Tensor) -> Tensor:
        caught: list[Tensor] = []
        handle = self.last.register_forward_pre_hook(lambda _, given: caught.append(given[0]))
        try:
            self.model(x)
        finally:
            handle.remove()
        return caught[-1].flatten(1)


def _corner(x: Tensor, eps: float) -> Tensor:
    return (x + eps * (2 * torch.randint_like(x, 2) - 1)).clamp(0, 1)


def _discriminant(others: Tensor, corner: Tensor) -> Tensor:
    """Return Fisher's linear discriminants ``(N, F)`` of points ``(N, P, F)`` against one corner ``(N, F)`` each."""
    mean = others.mean(dim=1)
    centred = others - mean[:, None]
    covariance = centred.mT @ centred / others.shape[1]
    variance = covariance.diagonal(dim1=1, dim2=2).mean(dim=1).clamp(min=1e-12)
    ridge = RIDGE * variance[:, None, None] * torch.eye(others.shape[2], device=others.device)
    weight: Tensor = torch.linalg.solve(covariance + ridge, corner - mean)
    return weight


def last_layer(classifier: nn.Module) -> nn.Linear | None:
    """Return a classifier's last linear layer; None where it has none."""
    layers = [module for module in classifier.modules() if isinstance(module, nn.Linear)]
    return layers[-1] if layers else None
