"""Descent in a generator's latent space towards given images, and its gradient (Samangouei et al. 2018, section 3)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Descent:
    """How codes descend the mean over pixels of (G(z) - x)^2: ``steps`` of gradient descent with momentum.

    The step size falls to a tenth at four fifths of the steps.
    """

    decode: Callable[[Tensor], Tensor]
    """G: codes ``(M, D)`` to images ``(M, C, H, W)``."""
    steps: int
    step_size: float
    momentum: float
    z_radius: float | None = None
    """Codes are held in the ball of this radius."""
    halve_every: int | None = None
    """After every so many steps the worse half of an image's starts is dropped."""

    @torch.no_grad()
    def search(self, x: Tensor, starts: Tensor) -> Found:
        """Descend from all ``starts`` ``(N, R, D)`` towards ``x`` and return what ends nearest to each image."""
        if self.halve_every is not None and starts.shape[1] > 1:
            return _halving(self, x, starts, self.halve_every)
        targets = x.detach().repeat_interleave(starts.shape[1], dim=0)
        codes = _descend(self, targets, starts.flatten(0, 1))
        return _nearest(self, x, codes.unflatten(0, starts.shape[:2]))

    @torch.no_grad()
    def ends(self, x: Tensor, starts: Tensor) -> Tensor:
        """Return the images ``(N, R, C, H, W)`` at which descents from all ``starts`` end; none is dropped."""
        codes = _descend(self, x.detach().repeat_interleave(starts.shape[1], dim=0), starts.flatten(0, 1))
        images: Tensor = self.decode(codes).unflatten(0, starts.shape[:2])
        return images

    def unrolled(self, x: Tensor, start: Tensor) -> Tensor:
        """Return where descents from ``start`` ``(N, D)`` end; gradients go through all their steps."""
        z: Tensor = _Unrolled.apply(x, start, self)
        return z

    def size_of(self, step: int) -> float:
        """Return the size of a step."""
        return self.step_size if step < 0.8 * self.steps else self.step_size / 10


@dataclass
class _State:
    """Where a batch of codes ``(M, 128)`` is in its descent."""

    z: Tensor
    velocity: Tensor

    def of(self, rows: Tensor) -> _State:
        """Return the state of some of the codes."""
        return _State(self.z[rows], self.velocity[rows])


@dataclass
class Found:
    """What a search found for each of N images."""

    code: Tensor
    image: Tensor
    winner: Tensor
    """The number of the start that it was found from."""


def _nearest(descent: Descent, x: Tensor, codes: Tensor) -> Found:
    """Return, of codes ``(N, R, 128)``, those whose images lie nearest to ``x``."""
    count = codes.shape[1]
    images = descent.decode(codes.flatten(0, 1))
    distances = errors(images, x.repeat_interleave(count, dim=0)).view(len(x), count)
    rows, winner = torch.arange(len(x), device=x.device), distances.argmin(dim=1)
    return Found(codes[rows, winner], images.unflatten(0, codes.shape[:2])[rows, winner], winner)


def _descend(descent: Descent, x: Tensor, start: Tensor, trail: list[_State] | None = None) -> Tensor:
    """Descend from ``start`` ``(M, 128)`` towards ``x`` ``(M, C, H, W)``; ``trail`` takes the states on the way."""
    state = _State(start.detach().clone(), torch.zeros_like(start))
    return _walk(descent, x, state, range(descent.steps), trail).z


def _halving(descent: Descent, x: Tensor, starts: Tensor, every: int) -> Found:
    """Descend from all ``starts`` ``(N, R, 128)``, dropping each image's worse half on the way."""
    left = torch.arange(starts.shape[1], device=x.device).expand(starts.shape[:2])
    state = _State(starts.detach().flatten(0, 1).clone(), torch.zeros_like(starts.flatten(0, 1)))
    for first in range(0, descent.steps, every):
        if first and left.shape[1] > 1:
            distances = errors(descent.decode(state.z), x.repeat_interleave(left.shape[1], dim=0)).view(left.shape)
            kept = distances.argsort(dim=1)[:, : -(-left.shape[1] // 2)]
            rows = kept + left.shape[1] * torch.arange(len(x), device=x.device)[:, None]
            left, state = left.gather(1, kept), state.of(rows.flatten())
        steps = range(first, min(first + every, descent.steps))
        state = _walk(descent, x.repeat_interleave(left.shape[1], dim=0), state, steps)
    found = _nearest(descent, x, state.z.unflatten(0, left.shape))
    found.winner = left.gather(1, found.winner[:, None])[:, 0]
    return found


def _walk(descent: Descent, x: Tensor, state: _State, steps: range, trail: list[_State] | None = None) -> _State:
    """Take some of a descent's steps."""
    with torch.inference_mode(False), torch.enable_grad():
        x, state = x.detach().clone(), _State(state.z.clone(), state.velocity.clone())
        for step in steps:
            if trail is not None:
                trail.append(state)
            taken = _step(descent, step, x, state.z.detach().requires_grad_(), state.velocity, create_graph=False)
            state = _State(taken.z.detach(), taken.velocity.detach())
    return state


def _step(descent: Descent, step: int, x: Tensor, z: Tensor, velocity: Tensor, *, create_graph: bool) -> _State:
    """Take one step of gradient descent with momentum."""
    # Summed over the batch, so that no code's gradient depends on how many are descending.
    error = errors(descent.decode(z), x).sum()
    (gradient,) = torch.autograd.grad(error, z, create_graph=create_graph)
    velocity = descent.momentum * velocity + gradient
    z = z - descent.size_of(step) * velocity
    if descent.z_radius is not None:
        z = z * (descent.z_radius / z.norm(dim=1, keepdim=True)).clamp(max=1)
    return _State(z, velocity)


class _Unrolled(torch.autograd.Function):
    """The end of a descent, with its gradient with respect to target and start through all its steps.

    Reverse-mode differentiation by hand: the codes on the way are kept, and each step is taken again when the gradient
    comes back through it. So memory is that of one step, however many there are.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, start: Tensor, descent: Descent) -> Tensor:
        ctx.target, ctx.descent, ctx.states = x.detach(), descent, []
        return _descend(descent, x, start, ctx.states)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        descent: Descent = ctx.descent
        by_z, by_x = gradients[0], torch.zeros_like(ctx.target)
        by_velocity = torch.zeros_like(by_z)
        for step, state in reversed(list(enumerate(ctx.states))):
            with torch.enable_grad():
                inputs = [part.detach().clone().requires_grad_() for part in (ctx.target, state.z, state.velocity)]
                taken = _step(descent, step, *inputs, create_graph=True)
                through_x, by_z, by_velocity = torch.autograd.grad(
                    (taken.z, taken.velocity), inputs, (by_z, by_velocity)
                )
            by_x += through_x
        return by_x, by_z, None


def errors(images: Tensor, x: Tensor) -> Tensor:
    """Return each image's mean over pixels ``(M,)`` of the squared difference from ``x``."""
    return (images - x).square().mean(dim=(1, 2, 3))
