"""Defense-GAN: the nearest image that a generator of clean images can make (Samangouei et al. 2018)."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from purification_bench.defenses.base import Defense
from purification_bench.defenses.context import FitContext
from purification_bench.defenses.descent import Descent, errors
from purification_bench.defenses.errors import at_least_one, below_one, not_negative, positive
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
    epochs, batch_size = 60, 32
    inference_options = frozenset({"steps", "restarts", "step_size", "momentum", "z_init", "z_radius", "halve_every"})
    shown_options = frozenset({"steps", "restarts"})
    later_options = frozenset({"halve_every"})

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
        below_one(momentum=momentum)
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
        return torch.cat([self._descent.search(*part).code for part in self._parts(x)])

    def candidates(self, x: Tensor) -> Tensor:
        """Return the images ``(N, R, C, H, W)`` at which the restarts end."""
        return torch.cat([self._descent.ends(*part) for part in self._parts(x)])

    def starts(self, x: Tensor) -> Tensor:
        """Return the codes ``(N, R, 128)`` that descents towards the images start from."""
        return self.z_init * torch.randn(len(x), self.restarts, LATENT_DIM, device=x.device)

    def _parts(self, x: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield images and their starts ``(N, R, 128)``, as many at once as the device has room for."""
        starts = self.starts(x)
        images_at_once = max(1, _rows_at_once(x.device) // starts.shape[1])
        yield from zip(x.split(images_at_once), starts.split(images_at_once), strict=True)

    def _project(self, x: Tensor, starts: Tensor) -> Tensor:
        """Return the nearest images that descents from ``starts`` ``(N, R, 128)`` find to ``x`` ``(N, C, H, W)``.

        Where a gradient is asked for, it is the true one of the winning descent, the choice of the winner held fixed.
        """
        found = self._descent.search(x, starts)
        if not (torch.is_grad_enabled() and x.requires_grad):
            return found.image
        winner = starts[torch.arange(len(x), device=x.device), found.winner]
        again = self.decode(self._descent.unrolled(x, winner))
        exact: Tensor = again + (found.image - again).detach()  # alone in its batch, it may have been rounded otherwise
        return exact

    @property
    def _descent(self) -> Descent:
        return Descent(self.decode, self.steps, self.step_size, self.momentum, self.z_radius, self.halve_every)

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
                error = float(errors(projection.purify(held_out), held_out).mean())
            context.report(float(epoch), rebuilt_mse=error, critic=critic, critic_validation=gan.estimate(held_out))
            with torch.no_grad():
                context.show(self.decode(codes.to(context.device)))


def _rows_at_once(device: torch.device) -> int:
    """Return how many latent codes descend in one batch: what a CPU's caches hold, or half of a GPU's free memory."""
    if device.type != "cuda":
        return 160
    free, _ = torch.cuda.mem_get_info(device)
    return int(max(1, min(16384, free // 2 // BYTES_PER_ROW)))
