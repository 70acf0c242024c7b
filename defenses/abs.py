"""Analysis by synthesis: one auto-encoder a class, and the class that explains an image best says what it becomes."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Adam
from torch.optim.lr_scheduler import ExponentialLR

from purification_bench.defenses.base import Defense
from purification_bench.defenses.context import FitContext
from purification_bench.defenses.errors import at_least_one, positive
from purification_bench.defenses.layers import padded
from purification_bench.defenses.optimising import descend
from purification_bench.defenses.registry import register_defense
from purification_bench.defenses.validation import batches

WIDTH = 16
"""Channels of the convolutions at half of height and width."""
RATE, RATE_DECAY = 1e-3, 0.9
"""Of training: Adam's learning rate at first, and what it is multiplied by after each epoch."""
FARTHEST = 5.0
"""Codes are held within this distance from 0 in the search."""
SOFTNESS = 10.0
"""By how much a bound must be worse to make a class e times lighter in the surrogate."""
SEED, PART = 0, 250


class ClassVAE(nn.Module):
    """Variational auto-encoder of the images of one class."""

    def __init__(self, shape: tuple[int, int, int], latent_dim: int) -> None:
        super().__init__()
        channels, *self.size = shape
        low = [-(-side // 4) for side in self.size]
        self.encoder = nn.Sequential(
            nn.Conv2d(channels, WIDTH, 5, stride=2, padding=2), nn.ELU(),
            nn.Conv2d(WIDTH, 2 * WIDTH, 5, stride=2, padding=2), nn.ELU(),
            nn.Flatten(), nn.Linear(2 * WIDTH * low[0] * low[1], 2 * latent_dim),
        )  # fmt: skip
        self.decoder = nn.Sequential(
            nn.Linear(latent_dim, 128), nn.ELU(), nn.Linear(128, WIDTH * low[0] * low[1]), nn.ELU(),
            nn.Unflatten(1, (WIDTH, *low)), *_doubling(WIDTH), nn.ELU(), *_doubling(channels),
        )  # fmt: skip

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log-variance ``(N, D)`` of the codes of images."""
        mean, log_variance = self.encoder(padded(x, 4)).chunk(2, dim=1)
        return mean, log_variance

    def decode(self, z: Tensor) -> Tensor:
        """Return the images ``(N, C, H, W)`` of codes ``(N, D)``."""
        height, width = self.size
        return torch.sigmoid(self.decoder(z)[:, :, :height, :width])


def _doubling(out: int) -> tuple[nn.Module, nn.Module]:
    """Return layers that double height and width: four channels for each become squares of pixels."""
    return nn.Conv2d(WIDTH, 4 * out, 3, padding=1), nn.PixelShuffle(2)


@register_defense("abs")
class ABS(Defense):
    """The image that the best of the classes' models makes of x (analysis by synthesis: Schott et al. 2019).

    Each class has a VAE. In each, the code is sought whose bound on the likelihood of x is highest: from the best of
    many codes that are drawn once, by descent. The authors answer with the class whose bound is best. Here its image
    goes to the classifier, which may disagree.

    Parameters
    ----------
    latent_dim:
        Length of a code.
    samples:
        Codes that a search starts among, the same for all images and classes (the authors': 8,000).
    steps, step_size:
        Of Adam, on the code.
    """

    paper = "Schott et al. 2019, arXiv:1805.09190"
    training_knowledge = "clean"
    epochs, batch_size = 15, 256
    differentiable = False
    inference_options = frozenset({"samples", "steps", "step_size"})
    shown_options = frozenset({"samples", "steps"})

    def __init__(self, *, latent_dim: int = 8, samples: int = 1000, steps: int = 50, step_size: float = 0.05) -> None:
        super().__init__()
        at_least_one(latent_dim=latent_dim, samples=samples, steps=steps)
        positive(step_size=step_size)
        self.latent_dim, self.samples, self.steps, self.step_size = latent_dim, samples, steps, step_size

    def build(self, shape: tuple[int, int, int], num_classes: int) -> None:
        """Make one auto-encoder a class."""
        self.models = nn.ModuleList(ClassVAE(shape, self.latent_dim) for _ in range(num_classes))
        self._starts: tuple[object, Tensor, Tensor] | None = None

    def purify(self, x: Tensor) -> Tensor:
        """Return the image of the best class's best code."""
        images = []
        for part in x.detach().split(PART):
            codes, bounds = self._search(part)
            images.append(self._of_best(codes, bounds))
        return torch.cat(images)

    def encode(self, x: Tensor) -> Tensor:
        """Return the best class's code and one-hot label, ``(N, latent_dim + K)``."""
        found = []
        for part in x.detach().split(PART):
            codes, bounds = self._search(part)
            best = bounds.argmin(dim=1)
            found.append(torch.cat([_chosen(codes, best), F.one_hot(best, len(self.models)).to(codes.dtype)], dim=1))
        return torch.cat(found)

    def decode(self, z: Tensor) -> Tensor:
        """Return the images of codes and weights of classes ``(N, latent_dim + K)``: those of the heaviest class.

        In the backward pass it is their softmax: whoever searches codes may walk from class to class.
        """
        codes, soft = z[:, : self.latent_dim], z[:, self.latent_dim :].softmax(dim=1)
        images = torch.stack([model.decode(codes) for model in self._all()], dim=1)
        weights = F.one_hot(soft.argmax(dim=1), soft.shape[1]) + soft - soft.detach()
        return (weights[:, :, None, None, None] * images).sum(dim=1)

    def surrogate(self, x: Tensor) -> Tensor:
        """Return what the encoders make of x, not the search: the mean over classes, the likelier the heavier."""
        codes = torch.stack([model.posterior(x)[0] for model in self._all()], dim=1)
        images = self._decoded(codes)
        weights = (-_bounds(images, codes, x) / SOFTNESS).softmax(dim=1)
        return (weights[:, :, None, None, None] * images).sum(dim=1)

    def _search(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return each class's best code ``(N, K, D)`` for images, and the bounds ``(N, K)`` there: less is better."""
        with torch.inference_mode(False), torch.enable_grad():
            x = x.clone()
            codes = self._nearest_starts(x).requires_grad_()
            optimizer = Adam([codes], lr=self.step_size)
            for _ in range(self.steps):
                (codes.grad,) = torch.autograd.grad(_bounds(self._decoded(codes), codes, x).sum(), codes)
                optimizer.step()
                with torch.no_grad():
                    codes.mul_((FARTHEST / codes.norm(dim=2, keepdim=True)).clamp(max=1))
        codes = codes.detach()
        with torch.no_grad():
            return codes, _bounds(self._decoded(codes), codes, x)

    @torch.no_grad()
    def _nearest_starts(self, x: Tensor) -> Tensor:
        """Return, of the codes that are drawn once, each class's best ``(N, K, D)``."""
        codes, images = self._drawn(x.device)
        flat = x.flatten(1)
        divergence = codes.square().sum(dim=1) / 2
        best = []
        for of_class in images:
            distances = of_class.square().sum(dim=1) - 2 * flat @ of_class.T
            best.append(codes[(distances + divergence).argmin(dim=1)])
        return torch.stack(best, dim=1)

    def _drawn(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Return the codes ``(S, D)`` and their images ``(K, S, C * H * W)``, which are made once for these weights."""
        state = (device, *((each.dtype, each._version) for each in self.parameters()))
        if self._starts is None or self._starts[0] != state:
            generator = torch.Generator().manual_seed(SEED)
            codes = torch.randn(self.samples, self.latent_dim, generator=generator).to(device)
            images = [torch.cat([model.decode(part).flatten(1) for part in codes.split(PART)]) for model in self._all()]
            self._starts = state, codes, torch.stack(images)
        return self._starts[1:]

    def _decoded(self, codes: Tensor) -> Tensor:
        """Return the images ``(N, K, C, H, W)`` of codes ``(N, K, D)``, each class's by its own model."""
        return torch.stack([model.decode(codes[:, k]) for k, model in enumerate(self._all())], dim=1)

    def _of_best(self, codes: Tensor, bounds: Tensor) -> Tensor:
        best = bounds.argmin(dim=1)
        with torch.no_grad():
            return _chosen(self._decoded(codes), best)

    def _all(self) -> list[ClassVAE]:
        return [model for model in self.models if isinstance(model, ClassVAE)]

    def fit(self, context: FitContext) -> None:
        """Descend the negative evidence bound, each image through its own class's model.

        The epoch kept has the most validation images whose own class bounds them best, by the encoders alone.
        """
        x, y = context.images("train"), context.labels("train")
        optimizer = Adam(self.parameters(), lr=RATE)
        schedule = ExponentialLR(optimizer, RATE_DECAY)
        for _ in context.epochs(model=self, optimizer=optimizer, schedule=schedule):
            for i in context.batches():
                loss = self.loss(x[i].to(context.device), y[i].to(context.device))
                descend(loss, optimizer)
            schedule.step()
            with context.as_stored(self):
                self._validate(context)

    def loss(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the mean over images of the squared error and the divergence, each under its own class's model."""
        total = torch.zeros((), device=x.device)
        for k, model in enumerate(self._all()):
            own = x[y == k]
            if not len(own):
                continue
            mean, log_variance = model.posterior(own)
            rebuilt = model.decode(mean + (log_variance / 2).exp() * torch.randn_like(mean))
            divergence = -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum()
            total = total + (rebuilt - own).square().sum() + divergence
        return total / len(x)

    @torch.no_grad()
    def _validate(self, context: FitContext) -> None:
        right, bound, n = 0, 0.0, len(context.labels("validation"))
        for images, labels in batches(context):
            codes = torch.stack([model.posterior(images)[0] for model in self._all()], dim=1)
            rebuilt = self._decoded(codes)
            bounds = _bounds(rebuilt, codes, images)
            right += int((bounds.argmin(dim=1) == labels).sum())
            bound += float(_chosen(bounds, labels).sum())
        context.show(torch.cat([images[:32], self._of_best(codes, bounds)[:32]]))
        context.report(right / n, accuracy=right / n, bound=bound / n)


def _bounds(images: Tensor, codes: Tensor, x: Tensor) -> Tensor:
    """Return what each class's code costs ``(N, K)``: the squared error, and the divergence of a unit Gaussian there.

    Constants are left out.
    """
    return (images - x[:, None]).square().flatten(2).sum(dim=2) + codes.square().sum(dim=2) / 2


def _chosen(values: Tensor, index: Tensor) -> Tensor:
    """Return of each image's values ``(N, K, ...)`` the one at its index."""
    return values[torch.arange(len(values), device=values.device), index]
