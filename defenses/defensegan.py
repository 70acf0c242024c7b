"""Defense-GAN: the nearest image that a generator of clean images can make (Samangouei et al. 2018)."""

from __future__ import annotations

import torch
from torch import Tensor

from defenses.base import Defense, FitContext
from defenses.errors import at_least_one, not_negative, positive
from defenses.registry import register_defense
from defenses.wgan import LATENT_DIM, WGAN, Generator

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

    differentiable = False
    training_knowledge = "clean"
    inference_options = frozenset({"steps", "restarts", "step_size", "momentum", "z_init", "z_radius"})
    shown_options = frozenset({"steps", "restarts"})

    def __init__(
        self, *, steps: int = 25, restarts: int = 10, step_size: float = 10.0, momentum: float = 0.7,
        z_init: float = 1.0, z_radius: float | None = None,
    ) -> None:  # fmt: skip
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
        starts = self.z_init * torch.randn(len(x), self.restarts, LATENT_DIM, device=x.device)
        images_at_once = max(1, _rows_at_once(x.device) // self.restarts)
        parts = zip(x.split(images_at_once), starts.split(images_at_once), strict=True)
        return torch.cat([self._project(*part) for part in parts])

    def _project(self, x: Tensor, starts: Tensor) -> Tensor:
        """Descend from ``starts`` ``(N, R, 128)`` towards ``x`` ``(N, C, H, W)``; return the nearest image of each."""
        targets = x.repeat_interleave(self.restarts, dim=0)
        z = self._descend(targets, starts.flatten(0, 1))
        with torch.no_grad():
            images = self.decode(z)
            errors = _errors(images, targets).view(len(x), self.restarts)
            best = errors.argmin(dim=1) + self.restarts * torch.arange(len(x), device=x.device)
            return images[best]

    def _descend(self, x: Tensor, z: Tensor) -> Tensor:
        velocity = torch.zeros_like(z)
        with torch.inference_mode(False), torch.enable_grad():
            x, z = x.detach().clone(), z.detach().clone()
            for step in range(self.steps):
                z.requires_grad_()
                # Summed over the batch, so that no code's gradient depends on how many are descending.
                (gradient,) = torch.autograd.grad(_errors(self.decode(z), x).sum(), z)
                velocity = self.momentum * velocity + gradient
                z = z.detach() - self._step_size(step) * velocity
                if self.z_radius is not None:
                    z = z * (self.z_radius / z.norm(dim=1, keepdim=True)).clamp(max=1)
        return z

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
            error = float(_errors(projection.purify(held_out), held_out).mean())
            context.report(float(epoch), rebuilt_mse=error, critic=critic, critic_validation=gan.estimate(held_out))
            with torch.no_grad():
                context.show(self.decode(codes.to(context.device)))


def _errors(images: Tensor, x: Tensor) -> Tensor:
    return (images - x).square().mean(dim=(1, 2, 3))


def _rows_at_once(device: torch.device) -> int:
    """Return how many latent codes descend in one batch: what a CPU's caches hold, or half of a GPU's free memory."""
    if device.type != "cuda":
        return 160
    free, _ = torch.cuda.mem_get_info(device)
    return int(max(1, min(16384, free // 2 // BYTES_PER_ROW)))
