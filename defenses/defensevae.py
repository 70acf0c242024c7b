"""Defense-VAE: a variational auto-encoder that learns clean images from attacked ones."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Adam

from purification_bench.defenses.base import Defense
from purification_bench.defenses.context import FitContext, Split
from purification_bench.defenses.errors import at_least_one, not_negative
from purification_bench.defenses.layers import padded
from purification_bench.defenses.optimising import descend
from purification_bench.defenses.registry import register_defense
from purification_bench.defenses.validation import score

SEEN = (("fgsm", 0.2), ("fgsm", 0.25), ("fgsm", 0.3), ("fgsm", 0.35), ("pgd[steps=10]", 0.2), ("pgd[steps=10]", 0.3))
"""Attacks on the bare classifier, with their sizes: each training image meets one of them, drawn anew each epoch."""
RATE = 5e-4


@register_defense("defensevae")
class DefenseVAE(Defense):
    """Convolutional VAE trained on (attacked, clean) pairs, many attacks at once (Li and Ji 2019).

    The authors' attacks are FGSM, FGSM after a random step, and CW, at four sizes; here PGD of ten steps is in the
    place of the last two.

    Parameters
    ----------
    latent_dim:
        Length of the latent code z; in use it is the mean of its posterior, without noise.
    divergence:
        Weight of the Kullback-Leibler divergence beside the summed cross-entropy (the released code's default: 0).
    """

    paper = "Li and Ji 2019, arXiv:1812.06570"
    training_knowledge = "attack"
    epochs, batch_size = 5, 64

    def __init__(self, *, latent_dim: int = 128, divergence: float = 1.0) -> None:
        super().__init__()
        at_least_one(latent_dim=latent_dim)
        not_negative(divergence=divergence)
        self.latent_dim, self.divergence = latent_dim, divergence

    def build(self, shape: tuple[int, int, int], num_classes: int) -> None:
        """Make the encoder, four convolutions, and the decoder that mirrors it."""
        channels, *self.size = shape
        low = [-(-side // 8) for side in self.size]
        self.low = (256, *low)
        self.encoder = nn.Sequential(
            nn.Conv2d(channels, 64, 5, padding=2, bias=False), nn.BatchNorm2d(64), nn.ReLU(),
            *_halving(64, 64), *_halving(64, 128), *_halving(128, 256),
            nn.Flatten(), nn.Linear(256 * low[0] * low[1], 2 * self.latent_dim),
        )  # fmt: skip
        self.decoder = nn.Sequential(
            nn.Linear(self.latent_dim, 256 * low[0] * low[1]), nn.ReLU(), nn.Unflatten(1, self.low),
            *_doubling(256, 128), *_doubling(128, 64), *_doubling(64, 64),
            nn.Conv2d(64, channels, 5, padding=2),
        )  # fmt: skip
        for part in (self.encoder, self.decoder):
            part.to(memory_format=torch.channels_last)

    def encode(self, x: Tensor) -> Tensor:
        """Return the means ``(N, latent_dim)`` of the codes' posteriors."""
        return self._posterior(x)[0]

    def decode(self, z: Tensor) -> Tensor:
        """Return the images ``(N, C, H, W)`` of latent codes."""
        return torch.sigmoid(self._logits(z))

    def purify(self, x: Tensor) -> Tensor:
        """Encode and decode, without noise."""
        return self.decode(self.encode(x))

    def _posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log-variance ``(N, latent_dim)`` of z."""
        mean, log_variance = self.encoder(padded(x, 8)).chunk(2, dim=1)
        return mean, log_variance

    def _logits(self, z: Tensor) -> Tensor:
        height, width = self.size
        logits: Tensor = self.decoder(z)[:, :, :height, :width]
        return logits

    def fit(self, context: FitContext) -> None:
        """Descend the negative evidence bound of the clean image, given the attacked one.

        The epoch kept has the best mean validation accuracy over all attacks.
        """
        x, seen = context.images("train"), _seen(context, "train")
        optimizer, held_out = Adam(self.parameters(), lr=RATE), _seen(context, "validation")
        for _ in context.epochs(model=self, optimizer=optimizer):
            self.train()
            for i in context.batches():
                x_adv = self._mixed(seen, i).to(context.device)
                with context.autocast():
                    mean, log_variance = self._posterior(x_adv)
                    z = mean + (log_variance / 2).exp() * torch.randn_like(mean)
                    logits = self._logits(z)
                loss = self.loss(logits.float(), x[i].to(context.device), mean.float(), log_variance.float())
                descend(loss, optimizer)
            self.eval()
            with context.as_stored(self):
                scores = [score(self, context, images) for images in held_out]
            right = [accuracy for accuracy, _ in scores]
            mse = sum(error for _, error in scores) / len(scores)
            context.report(sum(right) / len(right), accuracy=sum(right) / len(right), worst=min(right), mse=mse)

    @staticmethod
    def _mixed(seen: Sequence[Tensor], i: Tensor) -> Tensor:
        """Return the images of an index batch, each under an attack that is drawn for it."""
        drawn = torch.randint(len(seen), (len(i),))
        return torch.stack([seen[k][j] for k, j in zip(drawn.tolist(), i.tolist(), strict=True)])

    def loss(self, logits: Tensor, x: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
        """Return the summed cross-entropy of the pixels and the weighted divergence, in the mean over images."""
        pixels = F.binary_cross_entropy_with_logits(logits, x, reduction="sum")
        divergence = -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum()
        return (pixels + self.divergence * divergence) / len(x)


def _seen(context: FitContext, split: Split) -> list[Tensor]:
    """Return the images ``(N, C, H, W)`` of a split under each attack."""
    return [context.adversarial(attack, eps, split) for attack, eps in SEEN]


def _halving(inputs: int, outputs: int) -> tuple[nn.Module, ...]:
    return nn.Conv2d(inputs, outputs, 4, stride=2, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()


def _doubling(inputs: int, outputs: int) -> tuple[nn.Module, ...]:
    convolution = nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1, bias=False)
    return convolution, nn.BatchNorm2d(outputs), nn.ReLU()
