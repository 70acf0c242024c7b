"""Defense-GAN: the nearest image that a generator of clean images can make (Samangouei et al. 2018)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from purification_bench.defenses.base import Defense
from purification_bench.defenses.context import FitContext
from purification_bench.defenses.errors import at_least_one, not_negative, positive
from purification_bench.defenses.registry import register_defense
from purification_bench.defenses.wgan import LATENT_DIM, WGAN, Generator

VALIDATION_IMAGES = 64
"""Validation images that are rebuilt after each epoch of training."""
BYTES_PER_ROW = 1_000_000
"""Upper estimate of the memory that one descending code takes, with its generator's activations and their gradients."""


@register_defense("defensegan")
class DefenseGAN(Defense):
    """Projection onto the images of a WGAN-GP generator, by descent in its latent space (Samangouei et al. 2018).

    For each image x, ``restarts`` latent codes descend the mean over pixels of (G(z) - x)^2 for ``steps`` steps; x
    becomes the G(z) that ends nearest to it.

    Parameters
    ----------
    steps:
        Gradient steps L; the step size falls to a tenth at four fifths of them.
    restarts:
        Starting points R of each image.
    step_size, momentum:
        Of the gradient descent.
    z_init:
        Standard deviation of the Gaussian that the codes start from.
    z_radius:
        The codes are held in the ball of this radius around 0; none: they run free.
    halve_every:
        After every so many steps the worse half of an image's restarts is dropped, until one is left (successive
        halving, Jamieson and Talwalkar 2016); none: all of them descend to the end.
    """

    paper = "Samangouei et al. 2018, arXiv:1805.06605"
    training_knowledge = "clean"
    inference_options = frozenset({"steps", "restarts", "step_size", "momentum", "z_init", "z_radius", "halve_every"})
    shown_options = frozenset({"steps", "restarts"})

    def __init__(
        self,
        *,
        steps: int = 25,
        restarts: int = 10,
        step_size: float = 10.0,
        momentum: float = 0.7,
        z_init: float = 1.0,
        z_radius: float | None = None,
        halve_every: int | None = None,
    ) -> None:
        super().__init__()
        at_least_one(steps=steps, restarts=restarts, halve_every=halve_every)
        positive(step_size=step_size, z_radius=z_radius)
        not_negative(z_init=z_init)
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum must lie in [0, 1), not be {momentum:g}")
        self.steps = steps
        self.restarts = restarts
        self.step_size = step_size
        self.momentum = momentum
        self.z_init = z_init
        self.z_radius = z_radius
        self.halve_every = halve_every
        self.stochastic = z_init > 0

    def build(self, shape: tuple[int, int, int], num_classes: int) -> None:
        """Make the generator."""
        self.generator = Generator(shape)
        # A descent on the CPU takes a quarter less time so.
        self.generator.to(memory_format=torch.channels_last)

    def decode(self, z: Tensor) -> Tensor:
        """Return the images ``(N, C, H, W)`` of latent codes ``(N, 128)``."""
        images: Tensor = self.generator(z)
        return images

    def purify(self, x: Tensor) -> Tensor:
        """Return, for each image, the nearest one that ``restarts`` descents find."""
        return torch.cat([self._project(*part) for part in self._parts(x)])

    def encode(self, x: Tensor) -> Tensor:
        """Return the codes ``(N, 128)`` of the nearest images."""
        return torch.cat([self._search(*part).code for part in self._parts(x)])

    def starts(self, x: Tensor) -> Tensor:
        """Return the codes ``(N, R, 128)`` that descents towards the images start from."""
        return self.z_init * torch.randn(len(x), self.restarts, LATENT_DIM, device=x.device)

    def _parts(self, x: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield images and their starts ``(N, R, 128)``, as many at once as the device has room for."""
        starts = self.starts(x)
        images_at_once = max(1, _rows_at_once(x.device) // starts.shape[1])
        yield from zip(x.split(images_at_once), starts.split(images_at_once), strict=True)

    @torch.no_grad()
    def _search(self, x: Tensor, starts: Tensor) -> _Found:
        """Descend from all ``starts`` ``(N, R, 128)`` towards ``x`` and return what ends nearest to each image."""
        if self.halve_every is not None and starts.shape[1] > 1:
            return _halving(self, x, starts)
        targets = x.detach().repeat_interleave(starts.shape[1], dim=0)
        codes = _descend(self, targets, starts.flatten(0, 1))
        return _nearest(self, x, codes.unflatten(0, starts.shape[:2]))

    def _project(self, x: Tensor, starts: Tensor) -> Tensor:
        """Return the nearest images that descents from ``starts`` ``(N, R, 128)`` find to ``x`` ``(N, C, H, W)``.

        Where a gradient is asked for, it is the true one of the winning descent, the choice of the winner held fixed.
        """
        found = self._search(x, starts)
        if not (torch.is_grad_enabled() and x.requires_grad):
            return found.image
        winner = starts[torch.arange(len(x), device=x.device), found.winner]
        z: Tensor = _Unrolled.apply(x, winner, self)
        again = self.decode(z)
        exact: Tensor = again + (found.image - again).detach()  # alone in its batch, it may have been rounded otherwise
        return exact

    def _step_size(self, step: int) -> float:
        return self.step_size if step < 0.8 * self.steps else self.step_size / 10

    def fit(self, context: FitContext) -> None:
        """Train by WGAN-GP on clean images; an epoch shows the critic each of them once.

        The averaged generator of the last epoch is kept. The error of rebuilding validation images levels out early,
        but the critic's estimate, and robustness with it, improve to the end: docs/defensegan.md.
        """
        x, held_out = context.images("train"), context.images("validation")[:VALIDATION_IMAGES].to(context.device)
        gan = WGAN(self.generator, context)
        # Not by the options in use: the log must not depend on them.
        projection = DefenseGAN(steps=100, restarts=1, step_size=10.0, momentum=0.7, z_init=LATENT_DIM**-0.5)
        projection.generator = self.generator
        codes = torch.randn(VALIDATION_IMAGES, LATENT_DIM, generator=torch.Generator().manual_seed(0))
        for epoch in context.epochs(model=self, **gan.parts):
            # A short memory at first, so that the average forgets where it started.
            critic = gan.train_epoch(x, decay=0.999 if epoch else 0.99)
            with context.as_stored(self):
                error = float(_errors(projection.purify(held_out), held_out).mean())
            context.report(float(epoch), rebuilt_mse=error, critic=critic, critic_validation=gan.estimate(held_out))
            with torch.no_grad():
                context.show(self.decode(codes.to(context.device)))


@dataclass
class _State:
    """Where a batch of codes ``(M, 128)`` is in its descent."""

    z: Tensor
    velocity: Tensor

    def of(self, rows: Tensor) -> _State:
        """Return the state of some of the codes."""
        return _State(self.z[rows], self.velocity[rows])


@dataclass
class _Found:
    """What a search found for each of N images."""

    code: Tensor
    image: Tensor
    winner: Tensor
    """The number of the start that it was found from."""


def _nearest(defense: DefenseGAN, x: Tensor, codes: Tensor) -> _Found:
    """Return, of codes ``(N, R, 128)``, those whose images lie nearest to ``x``."""
    count = codes.shape[1]
    images = defense.decode(codes.flatten(0, 1))
    errors = _errors(images, x.repeat_interleave(count, dim=0)).view(len(x), count)
    rows, winner = torch.arange(len(x), device=x.device), errors.argmin(dim=1)
    return _Found(codes[rows, winner], images.unflatten(0, codes.shape[:2])[rows, winner], winner)


def _descend(defense: DefenseGAN, x: Tensor, start: Tensor, trail: list[_State] | None = None) -> Tensor:
    """Descend from ``start`` ``(M, 128)`` towards ``x`` ``(M, C, H, W)``; ``trail`` takes the states on the way."""
    state = _State(start.detach().clone(), torch.zeros_like(start))
    return _walk(defense, x, state, range(defense.steps), trail).z


def _halving(defense: DefenseGAN, x: Tensor, starts: Tensor) -> _Found:
    """Descend from all ``starts`` ``(N, R, 128)``, dropping each image's worse half on the way."""
    every = defense.halve_every or defense.steps
    left = torch.arange(starts.shape[1], device=x.device).expand(starts.shape[:2])
    state = _State(starts.detach().flatten(0, 1).clone(), torch.zeros_like(starts.flatten(0, 1)))
    for first in range(0, defense.steps, every):
        if first and left.shape[1] > 1:
            errors = _errors(defense.decode(state.z), x.repeat_interleave(left.shape[1], dim=0)).view(left.shape)
            kept = errors.argsort(dim=1)[:, : -(-left.shape[1] // 2)]
            rows = kept + left.shape[1] * torch.arange(len(x), device=x.device)[:, None]
            left, state = left.gather(1, kept), state.of(rows.flatten())
        steps = range(first, min(first + every, defense.steps))
        state = _walk(defense, x.repeat_interleave(left.shape[1], dim=0), state, steps)
    found = _nearest(defense, x, state.z.unflatten(0, left.shape))
    found.winner = left.gather(1, found.winner[:, None])[:, 0]
    return found


def _walk(defense: DefenseGAN, x: Tensor, state: _State, steps: range, trail: list[_State] | None = None) -> _State:
    """Take some of a descent's steps."""
    with torch.inference_mode(False), torch.enable_grad():
        x, state = x.detach().clone(), _State(state.z.clone(), state.velocity.clone())
        for step in steps:
            if trail is not None:
                trail.append(state)
            taken = _step(defense, step, x, state.z.detach().requires_grad_(), state.velocity, create_graph=False)
            state = _State(taken.z.detach(), taken.velocity.detach())
    return state


def _step(defense: DefenseGAN, step: int, x: Tensor, z: Tensor, velocity: Tensor, *, create_graph: bool) -> _State:
    """Take one step of gradient descent with momentum."""
    # Summed over the batch, so that no code's gradient depends on how many are descending.
    error = _errors(defense.decode(z), x).sum()
    (gradient,) = torch.autograd.grad(error, z, create_graph=create_graph)
    velocity = defense.momentum * velocity + gradient
    z = z - defense._step_size(step) * velocity
    if defense.z_radius is not None:
        z = z * (defense.z_radius / z.norm(dim=1, keepdim=True)).clamp(max=1)
    return _State(z, velocity)


class _Unrolled(torch.autograd.Function):
    """The end of a descent, with its gradient with respect to target and start through all its steps.

    Reverse-mode differentiation by hand: the codes on the way are kept, and each step is taken again when the gradient
    comes back through it. So memory is that of one step, however many there are.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, start: Tensor, defense: DefenseGAN) -> Tensor:
        ctx.target, ctx.defense, ctx.states = x.detach(), defense, []
        return _descend(defense, x, start, ctx.states)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        defense: DefenseGAN = ctx.defense
        by_z, by_x = gradients[0], torch.zeros_like(ctx.target)
        by_velocity = torch.zeros_like(by_z)
        for step, state in reversed(list(enumerate(ctx.states))):
            with torch.enable_grad():
                inputs = [part.detach().clone().requires_grad_() for part in (ctx.target, state.z, state.velocity)]
                taken = _step(defense, step, *inputs, create_graph=True)
                through_x, by_z, by_velocity = torch.autograd.grad(
                    (taken.z, taken.velocity), inputs, (by_z, by_velocity)
                )
            by_x += through_x
        return by_x, by_z, None


def _errors(images: Tensor, x: Tensor) -> Tensor:
    return (images - x).square().mean(dim=(1, 2, 3))


def _rows_at_once(device: torch.device) -> int:
    """Return how many latent codes descend in one batch: what a CPU's caches hold, or half of a GPU's free memory."""
    if device.type != "cuda":
        return 160
    free, _ = torch.cuda.mem_get_info(device)
    return int(max(1, min(16384, free // 2 // BYTES_PER_ROW)))
