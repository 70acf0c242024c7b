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
    """

    paper = "Samangouei et al. 2018, arXiv:1805.06605"
    training_knowledge = "clean"
    inference_options = frozenset({"steps", "restarts", "step_size", "momentum", "z_init", "z_radius"})
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
    ) -> None:
        super().__init__()
        at_least_one(steps=steps, restarts=restarts)
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
        return torch.cat([self._search(*part)[0] for part in self._parts(x)])

    def _parts(self, x: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield images and their starts ``(N, R, 128)``, as many at once as the device has room for."""
        starts = self.z_init * torch.randn(len(x), self.restarts, LATENT_DIM, device=x.device)
        images_at_once = max(1, _rows_at_once(x.device) // self.restarts)
        yield from zip(x.split(images_at_once), starts.split(images_at_once), strict=True)

    @torch.no_grad()
    def _search(self, x: Tensor, starts: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Descend from all ``starts`` towards ``x``; return each image's best code, its image, and its start."""
        targets = x.detach().repeat_interleave(self.restarts, dim=0)
        codes = _descend(self, targets, starts.flatten(0, 1))
        images = self.decode(codes)
        errors = _errors(images, targets).view(len(x), self.restarts)
        winner = torch.arange(len(x), device=x.device), errors.argmin(dim=1)
        best_code, best_image = (part.unflatten(0, (len(x), self.restarts))[winner] for part in (codes, images))
        return best_code, best_image, starts[winner]

    def _project(self, x: Tensor, starts: Tensor) -> Tensor:
        """Return the nearest images that descents from ``starts`` ``(N, R, 128)`` find to ``x`` ``(N, C, H, W)``.

        Where a gradient is asked for, it is the true one of the winning descent, the choice of the winner held fixed.
        """
        _, nearest, start = self._search(x, starts)
        if not (torch.is_grad_enabled() and x.requires_grad):
            return nearest
        z: Tensor = _Unrolled.apply(x, start, self)
        again = self.decode(z)
        exact: Tensor = again + (nearest - again).detach()  # alone in its batch, it may have been rounded otherwise
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


def _descend(defense: DefenseGAN, x: Tensor, start: Tensor, trail: list[_State] | None = None) -> Tensor:
    """Descend from ``start`` ``(M, 128)`` towards ``x`` ``(M, C, H, W)``; ``trail`` takes the states on the way."""
    with torch.inference_mode(False), torch.enable_grad():
        x, state = x.detach().clone(), _State(start.detach().clone(), torch.zeros_like(start))
        for step in range(defense.steps):
            if trail is not None:
                trail.append(state)
            taken = _step(defense, step, x, state.z.detach().requires_grad_(), state.velocity, create_graph=False)
            state = _State(taken.z.detach(), taken.velocity.detach())
    return state.z


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
    """The end of a descent, with its gradient with respect to the target through all its steps.

    Reverse-mode differentiation by hand: the codes on the way are kept, and each step is taken again when the gradient
    comes back through it. So memory is that of one step, however many there are.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, start: Tensor, defense: DefenseGAN) -> Tensor:
        ctx.target, ctx.defense, ctx.states = x.detach(), defense, []
        return _descend(defense, x, start, ctx.states)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
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
        return by_x, None, None


def _errors(images: Tensor, x: Tensor) -> Tensor:
    return (images - x).square().mean(dim=(1, 2, 3))


def _rows_at_once(device: torch.device) -> int:
    """Return how many latent codes descend in one batch: what a CPU's caches hold, or half of a GPU's free memory."""
    if device.type != "cuda":
        return 160
    free, _ = torch.cuda.mem_get_info(device)
    return int(max(1, min(16384, free // 2 // BYTES_PER_ROW)))
