"""The convolutional auto-encoder of the seed paper (Mandal 2023, section 3.3 and Fig. 5)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from purification_bench.defenses.base import Defense
from purification_bench.defenses.context import FitContext
from purification_bench.defenses.errors import at_least_one, not_negative
from purification_bench.defenses.optimising import descend
from purification_bench.defenses.registry import register_defense
from purification_bench.defenses.validation import score

SIDE = 32
"""Images are resized to SIDE x SIDE on the way in and back on the way out."""


@register_defense("cae")
class CAE(Defense):
    """Convolutional auto-encoder with a noisy latent code, trained on (adversarial, clean) pairs (Mandal 2023).

    Parameters
    ----------
    against, eps:
        The attack on the bare classifier, and its size in pixel units, that the training images were perturbed with.
    latent_dim:
        Length of the latent code z.
    noise:
        Standard deviation of the Gaussian noise added to z, in training and in use.
    """

    paper = "Mandal 2023"
    training_knowledge = "attack"

    def __init__(self, *, against: str = "fgsm", eps: float = 0.6, latent_dim: int = 10, noise: float = 1.0) -> None:
        super().__init__()
        at_least_one(latent_dim=latent_dim)
        not_negative(noise=noise, eps=eps)
        self.against = against
        self.eps = eps
        self.latent_dim = latent_dim
        self.noise = noise
        self.stochastic = noise > 0

    def build(self, shape: tuple[int, int, int], num_classes: int) -> None:
        """Make the encoder ``(C, 32, 32) -> z`` and the decoder that mirrors it."""
        channels, *self.size = shape
        self.encoder = nn.Sequential(
            nn.Conv2d(channels, 8, 3, stride=2, padding=1), nn.GELU(),
            nn.Conv2d(8, 16, 3, stride=2, padding=1), nn.BatchNorm2d(16), nn.GELU(),
            nn.Conv2d(16, 32, 3, stride=2), nn.GELU(),
            nn.Flatten(),
            nn.Linear(32 * 3 * 3, 128), nn.GELU(),
            nn.Linear(128, self.latent_dim),
        )  # fmt: skip
        self.decoder = nn.Sequential(
            nn.Linear(self.latent_dim, 128), nn.GELU(),
            nn.Linear(128, 32 * 3 * 3), nn.GELU(),
            nn.Unflatten(1, (32, 3, 3)),
            nn.ConvTranspose2d(32, 16, 3, stride=2, output_padding=1), nn.BatchNorm2d(16), nn.GELU(),
            nn.ConvTranspose2d(16, 8, 3, stride=2, padding=1, output_padding=1), nn.BatchNorm2d(8), nn.GELU(),
            nn.ConvTranspose2d(8, channels, 3, stride=2, padding=1, output_padding=1), nn.Sigmoid(),
        )  # fmt: skip

    def encode(self, x: Tensor) -> Tensor:
        """Return the latent codes ``(N, latent_dim)``, without noise."""
        z: Tensor = self.encoder(resize(x, (SIDE, SIDE)))
        return z

    def decode(self, z: Tensor) -> Tensor:
        """Return the images ``(N, C, H, W)`` of latent codes."""
        return resize(self.decoder(z), self.size)

    def purify(self, x: Tensor) -> Tensor:
        """Encode, add noise to the code, decode."""
        z = self.encode(x)
        if self.noise > 0:
            z = z + self.noise * torch.randn_like(z)
        return self.decode(z)

    def fit(self, context: FitContext) -> None:
        """Minimise the squared error between the reconstruction of x_adv and the clean x (section 3.3).

        Adam at 1e-3, as in the released code. The epoch kept is the one whose purified validation images the classifier
        gets right most often.
        """
        x_adv = context.adversarial(self.against, self.eps, "train")
        self._descend(context, lambda i: x_adv[i])

    def _descend(self, context: FitContext, seen: Callable[[Tensor], Tensor]) -> None:
        """Train to give the clean images of an index batch back for what the encoder sees of them."""
        x = context.images("train")
        optimizer = torch.optim.Adam(self.parameters(), lr=1e-3)
        for _ in context.epochs(model=self, optimizer=optimizer):
            self.train()
            for i in context.batches():
                x_adv = seen(i).to(context.device)
                with context.autocast():
                    purified = self.purify(x_adv)
                loss = self.loss(purified.float(), x[i].to(context.device), len(x))
                descend(loss, optimizer)
            self._validate(context)

    def loss(self, purified: Tensor, x: Tensor, total: int) -> Tensor:
        """Return what a step descends, of a batch; ``total`` images are trained on."""
        return F.mse_loss(purified, x)

    def _validate(self, context: FitContext) -> None:
        self.eval()
        x_adv = context.adversarial(self.against, self.eps, "validation")
        with context.as_stored(self):
            accuracy, mse = score(self, context, x_adv)
        context.report(accuracy, accuracy=accuracy, mse=mse)


def resize(x: Tensor, size: Sequence[int]) -> Tensor:
    """Return images at another height and width, bilinearly; those of that size as they are."""
    if tuple(x.shape[-2:]) == tuple(size):
        return x
    return F.interpolate(x, tuple(size), mode="bilinear", align_corners=False)
