"""Purification by signed steps towards images that a variational auto-encoder finds likely."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Adam

from purification_bench.defenses.base import Defense
from purification_bench.defenses.context import FitContext
from purification_bench.defenses.errors import at_least_one, positive
from purification_bench.defenses.optimising import descend
from purification_bench.defenses.registry import register_defense
from purification_bench.defenses.validation import batches

RATE = 1e-4
RIGHT = 8.0
"""Weight of an image's cross-entropy beside its squared error and divergence."""
STEP_SIZES = (1 / 255, 2 / 255)
"""Of the searches in turn."""
HALVINGS, NARROW = 4, 8


class Block(nn.Module):
    """A convolution, and two more around a shortcut, each with batch norm."""

    def __init__(self, inputs: int, outputs: int, maps: int) -> None:
        super().__init__()
        self.enter = nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU())
        self.around = nn.Sequential(
            nn.Conv2d(outputs, maps, 3, padding=1), nn.BatchNorm2d(maps), nn.ReLU(),
            nn.Conv2d(maps, outputs, 3, padding=1), nn.BatchNorm2d(outputs),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(N, outputs, H, W)``."""
        entered = self.enter(x)
        summed: Tensor = entered + self.around(entered)
        return summed


class VAEClassifier(nn.Module):
    """Variational auto-encoder whose code is classified, too: images ``(N, C, H, W)`` of any size."""

    def __init__(self, shape: tuple[int, int, int], num_classes: int, maps: int) -> None:
        super().__init__()
        channels, *self.size = shape
        self.low = [-(-side // 2**HALVINGS) for side in self.size]
        self.encoder = nn.ModuleList([Block(channels, maps, maps), *(Block(maps, maps, maps) for _ in range(3))])
        self.mean, self.log_variance = nn.Linear(maps, maps), nn.Linear(maps, maps)
        self.classes = nn.Linear(maps, num_classes)
        self.decoder = nn.ModuleList([Block(maps, maps, maps) for _ in range(HALVINGS)])
        self.leave = nn.Sequential(Block(maps, NARROW, maps), Block(NARROW, channels, maps))

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log-variance ``(N, maps)`` of the codes of images."""
        for block in self.encoder:
            x = F.max_pool2d(block(x), 2, ceil_mode=True)
        pooled = x.mean(dim=(2, 3))
        return self.mean(pooled), self.log_variance(pooled)

    def decode(self, z: Tensor) -> Tensor:
        """Return the images of codes."""
        height, width = self.size
        h = z[:, :, None, None].expand(-1, -1, *self.low)
        for block in self.decoder:
            h = F.interpolate(block(h), scale_factor=2.0, mode="nearest")
        over = h.shape[2] - height, h.shape[3] - width
        h = self.leave(h)[:, :, over[0] // 2 :, over[1] // 2 :]
        return torch.sigmoid(h[:, :, :height, :width])

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits ``(N, K)`` of the code's mean: the classifier of the authors."""
        logits: Tensor = self.classes(self.posterior(x)[0])
        return logits


@register_defense("advpfy")
class AdvPFY(Defense):
    """Signed steps within ``eps`` of x down the loss of a VAE that was trained to classify, too (Yang et al. 2024).

    Each image is searched for ``restarts`` times, first from where it is, then from random places in the ball; the one
    that the VAE finds likeliest goes to the classifier. (The authors' classifier is a head of the VAE itself.)

    Parameters
    ----------
    maps:
        Channels of the convolutions, and length of the code (the authors': 64).
    variational:
        Draw the code, and count its divergence; without, it is the plain auto-encoder that the authors compare with.
    eps:
        How far an image may be moved, in pixel units.
    steps, restarts:
        Of the search.
    """

    paper = "Yang et al. 2024, arXiv:2210.14404"
    training_knowledge = "clean"
    epochs, batch_size = 32, 256
    stochastic = True
    differentiable = False
    inference_options = frozenset({"eps", "steps", "restarts"})
    shown_options = frozenset({"eps", "steps", "restarts"})

    def __init__(
        self,
        *,
        maps: int = 32,
        variational: bool = True,
        eps: float = 50 / 255,
        steps: int = 96,
        restarts: int = 3,
    ) -> None:
        super().__init__()
        at_least_one(maps=maps, steps=steps, restarts=restarts)
        positive(eps=eps)
        self.maps, self.variational = maps, variational
        self.eps, self.steps, self.restarts = eps, steps, restarts

    def build(self, shape: tuple[int, int, int], num_classes: int) -> None:
        """Make the auto-encoder."""
        self.vae = VAEClassifier(shape, num_classes, self.maps).to(memory_format=torch.channels_last)

    def purify(self, x: Tensor) -> Tensor:
        """Search, and keep the likeliest."""
        with torch.inference_mode(False), torch.enable_grad():
            found = torch.stack([self._searched(x.detach().clone(), k) for k in range(self.restarts)], dim=1)
        with torch.no_grad():
            left = torch.stack([self.unlikeliness(found[:, k], noise=False) for k in range(self.restarts)], dim=1)
            return found[torch.arange(len(x), device=x.device), left.argmin(dim=1)]

    def _searched(self, x: Tensor, number: int) -> Tensor:
        moved = x if number == 0 else self._within(x, x + self.eps * (2 * torch.rand_like(x) - 1))
        for _ in range(self.steps):
            moved = moved.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(self.unlikeliness(moved, noise=True).sum(), moved)
            step = STEP_SIZES[number % len(STEP_SIZES)]
            moved = self._within(x, moved - step * gradient.sign())
        return moved.detach()

    def _within(self, x: Tensor, moved: Tensor) -> Tensor:
        return (x + (moved - x).clamp(-self.eps, self.eps)).clamp(0, 1)

    def unlikeliness(self, x: Tensor, *, noise: bool) -> Tensor:
        """Return each image's squared error and divergence ``(N,)``, at a draw of its code or at the mean."""
        return self._unlikeliness(x, noise=noise)[0]

    def _unlikeliness(self, x: Tensor, *, noise: bool) -> tuple[Tensor, Tensor]:
        """Return it with the codes ``(N, maps)``."""
        mean, log_variance = self.vae.posterior(x)
        z = mean + (log_variance / 2).exp() * torch.randn_like(mean) if noise and self.variational else mean
        error = (self.vae.decode(z) - x).square().flatten(1).sum(dim=1)
        return error + divergence(mean, log_variance) if self.variational else error, z

    def fit(self, context: FitContext) -> None:
        """Train the VAE and its head together; the epoch kept classifies most validation images right."""
        x, y = context.images("train"), context.labels("train")
        optimizer = Adam(self.parameters(), lr=RATE)
        for _ in context.epochs(model=self, optimizer=optimizer):
            self.train()
            for i in context.batches():
                descend(self.loss(x[i].to(context.device), y[i].to(context.device)), optimizer)
            self.eval()
            with context.as_stored(self):
                self._validate(context)

    def loss(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the squared error, the divergence and the weighted cross-entropy, in the mean over images."""
        unlikeliness, z = self._unlikeliness(x, noise=True)
        right = F.cross_entropy(self.vae.classes(z), y, reduction="none")
        return (unlikeliness + RIGHT * right).mean()

    @torch.no_grad()
    def _validate(self, context: FitContext) -> None:
        right, left, n = 0, 0.0, len(context.labels("validation"))
        for images, labels in batches(context):
            right += int((self.vae(images).argmax(dim=1) == labels).sum())
            left += float(self.unlikeliness(images, noise=False).sum())
        context.show(torch.cat([images[:32], self.vae.decode(self.vae.posterior(images[:32])[0])]))
        context.report(right / n, accuracy=right / n, unlikeliness=left / n)


def divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return each code's Kullback-Leibler divergence ``(N,)`` from a unit Gaussian."""
    return -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum(dim=1)
