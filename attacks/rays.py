"""RayS (Chen and Gu 2020): which way to go, and no more than decisions to find it by; from several starts."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from purification_bench.attacks.base import Attack
from purification_bench.attacks.expectation import is_random
from purification_bench.attacks.queried import Frozen
from purification_bench.attacks.registry import register_attack
from purification_bench.defenses.errors import UserError, at_least_one

HALVINGS = 8
"""Queries for the least distance along a direction that turned out well."""
OVERHEAD = 2
"""Queries of a start besides: which class the image has, and which have others."""
LEAST = OVERHEAD + HALVINGS + 1
"""Queries of a start that flips no sign."""


@register_attack("rays")
class RayS(Attack):
    """Search by decisions alone: flip signs of ever smaller blocks of pixels where that brings the boundary nearer.

    How near it is, is the least Linf distance along the signs at which the class changes (Chen and Gu 2020). The first
    start goes towards the nearest image of the batch that the model takes for another class, the next to the second
    nearest, and so on. Of a random model it sees one draw, held fixed; another draw has another boundary, so what it
    finds there is moved on, to the edge of the ball.

    Parameters
    ----------
    queries:
        For an image, shared out evenly over the starts; one that is found broken within the ball asks no more.
    starts:
        Directions that are tried, one after another.
    """

    needs = "queries"
    gradients_per_image = 0

    def __init__(self, *, queries: int = 2000, starts: int = 4) -> None:
        at_least_one(queries=queries, starts=starts)
        if queries < LEAST * starts:
            raise UserError(f"rays needs {LEAST} queries for each start, not {queries} for {starts}")
        self.queries, self.starts = queries, starts

    @torch.no_grad()
    def perturb(self, model: nn.Module, x: Tensor, y: Tensor, eps: float) -> Tensor:
        """Return each image at the distance found, no further than the ball reaches."""
        held = Frozen(model, int(torch.randint(2**31, ()))) if is_random(model) else model
        rays = _Rays.of(held, x, y)
        for start in range(self.starts):
            left = (rays.distance > eps).nonzero()[:, 0]
            if not len(left):
                break
            directions = _towards_another(held, x, y, start)[left]
            rays.shorten(left, directions, self.queries // self.starts - OVERHEAD, eps)
        distance = rays.distance.clamp(max=eps)
        if is_random(model):
            distance = torch.where(distance > 0, eps, 0.0)
        return (x + rays.direction * distance[:, None, None, None]).clamp(0, 1)


@dataclass
class _Rays:
    """The best direction ``(N, C, H, W)`` of each image so far, signs all, and the boundary's distance along it."""

    model: nn.Module
    x: Tensor
    y: Tensor
    direction: Tensor
    distance: Tensor
    """``(N,)``; infinite where no direction has met the boundary."""

    @classmethod
    def of(cls, model: nn.Module, x: Tensor, y: Tensor) -> _Rays:
        """Start with images that are wrong as they are at 0, and all others at no distance."""
        wrong = model(x).argmax(dim=1) != y
        return cls(model, x, y, torch.ones_like(x), torch.where(wrong, 0.0, torch.inf))

    def shorten(self, rows: Tensor, directions: Tensor, queries: int, eps: float) -> None:
        """Search from ``directions`` of the images ``rows`` until they are within eps, or the queries are spent."""
        found, distance = directions, self._searched(rows, directions, torch.ones_like(rows, dtype=self.x.dtype))
        spent, blocks, block = HALVINGS + 1, 1, 0
        while True:
            self._keep(rows, found, distance)
            going_on = distance > eps
            rows, found, distance = rows[going_on], found[going_on], distance[going_on]
            if spent + 1 + HALVINGS > queries or not len(rows):
                return
            flipped = self._flipped(found, blocks, block)
            nearer = self._searched(rows, flipped, distance.clamp(max=1.0))
            better = nearer < distance
            found = torch.where(better[:, None, None, None], flipped, found)
            distance = torch.where(better, nearer, distance)
            spent += 1 + HALVINGS * bool(better.any())
            block += 1
            if block == blocks:
                blocks, block = min(2 * blocks, self.x[0].numel()), 0

    def _keep(self, rows: Tensor, found: Tensor, distance: Tensor) -> None:
        better = distance < self.distance[rows]
        self.direction[rows[better]], self.distance[rows[better]] = found[better], distance[better]

    def _flipped(self, directions: Tensor, blocks: int, block: int) -> Tensor:
        flat = directions.flatten(1).clone()
        edges = torch.linspace(0, flat.shape[1], blocks + 1).round().long()
        flat[:, edges[block] : edges[block + 1]] *= -1
        return flat.view_as(directions)

    def _searched(self, rows: Tensor, directions: Tensor, largest: Tensor) -> Tensor:
        """Return the boundary's distance along directions; infinite where there is none up to ``largest``."""
        distance = torch.full_like(largest, torch.inf)
        hits = self._wrong(rows, directions, largest).nonzero()[:, 0]
        if len(hits):
            low, high = torch.zeros_like(largest[hits]), largest[hits].clone()
            for _ in range(HALVINGS):
                middle = (low + high) / 2
                wrong = self._wrong(rows[hits], directions[hits], middle)
                low, high = torch.where(wrong, low, middle), torch.where(wrong, middle, high)
            distance[hits] = high
        return distance

    def _wrong(self, rows: Tensor, directions: Tensor, distance: Tensor) -> Tensor:
        moved = (self.x[rows] + distance[:, None, None, None] * directions).clamp(0, 1)
        wrong: Tensor = self.model(moved).argmax(dim=1) != self.y[rows]
        return wrong


def _towards_another(model: nn.Module, x: Tensor, y: Tensor, which: int) -> Tensor:
    """Return the signs towards the image of the batch that is next near and of another class to the model.

    Where two pixels are equal, or there is no such image, at random.
    """
    distances = torch.cdist(x.flatten(1), x.flatten(1))
    distances[model(x).argmax(dim=1)[None] == y[:, None]] = torch.inf
    order = distances.argsort(dim=1)[:, min(which, len(x) - 1)]
    known = distances.gather(1, order[:, None])[:, 0].isfinite()
    signs = (x[order] - x).sign() * known[:, None, None, None]
    anywhere = 2 * torch.randint_like(x, 2) - 1
    return torch.where(signs == 0, anywhere, signs)
