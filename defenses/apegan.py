"""APE-GAN: a generator that takes perturbations away, against a discriminator that knows clean images."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Adam

from purification_bench.defenses.base import Defense
from purification_bench.defenses.context import FitContext
from purification_bench.defenses.errors import UserError, not_negative
from purification_bench.defenses.layers import padded
from purification_bench.defenses.optimising import descend
from purification_bench.defenses.registry import register_defense
from purification_bench.defenses.validation import score

REBUILDING, FOOLING = 0.7, 0.3
"""Weights of the two terms of the generator's loss: the square error, and the discriminator's cross-entropy."""
GENERATOR_STEPS = 2
"""For each step of the discriminator."""
SMALLEST = 15
"""Pixels a side that the discriminator's three convolutions leave something of."""
RATE, BETAS = 2e-4, (0.5, 0.999)
"""Adam's, of both."""


@register_defense("apegan")
class APEGAN(Defense):
    """Convolutional generator trained to give clean images back for attacked ones (Shen et al. 2017).

    Layers, loss and rates are those of a public port for MNIST (owruby/APE-GAN): the authors' own code takes the root
    of the square error, ReLU in the decoder, and batches of 64. Here images end in a sigmoid in place of tanh, since
    pixels lie in [0, 1], and the epoch is chosen on validation images.

    Parameters
    ----------
    against, eps:
        The attack on the bare classifier, and its size in pixel units, that the training images were perturbed with.
    """

    paper = "Shen et al. 2017, arXiv:1707.05474"
    training_knowledge = "attack"
    epochs, batch_size = 2, 128

    def __init__(self, *, against: str = "fgsm", eps: float = 0.15) -> None:
        super().__init__()
        not_negative(eps=eps)
        self.against, self.eps = against, eps

    def build(self, shape: tuple[int, int, int], num_classes: int) -> None:
        """Make the generator: two convolutions down, two up."""
        channels, *self.size = shape
        self.shape = shape
        if min(self.size) < SMALLEST:
            raise UserError(f"apegan takes images of {SMALLEST} pixels a side at least, not {min(self.size)}")
        self.generator = nn.Sequential(
            nn.Conv2d(channels, 64, 4, stride=2, padding=1), nn.BatchNorm2d(64), nn.LeakyReLU(),
            nn.Conv2d(64, 128, 4, stride=2, padding=1), nn.BatchNorm2d(128), nn.LeakyReLU(),
            nn.ConvTranspose2d(128, 64, 4, stride=2, padding=1), nn.BatchNorm2d(64), nn.LeakyReLU(),
            nn.ConvTranspose2d(64, channels, 4, stride=2, padding=1), nn.Sigmoid(),
        ).to(memory_format=torch.channels_last)  # fmt: skip

    def purify(self, x: Tensor) -> Tensor:
        """Pass images through the generator."""
        height, width = self.size
        purified: Tensor = self.generator(padded(x, 4))
        return purified[:, :, :height, :width]

    def fit(self, context: FitContext) -> None:
        """Train generator and discriminator in turn; the epoch kept answers most attacked validation images right."""
        x, x_adv = context.images("train"), context.adversarial(self.against, self.eps, "train")
        judge = discriminator(self.shape).to(context.device)
        own = Adam(self.generator.parameters(), lr=RATE, betas=BETAS)
        its = Adam(judge.parameters(), lr=RATE, betas=BETAS)
        held_out = context.adversarial(self.against, self.eps, "validation")
        for _ in context.epochs(model=self, optimizer=own, discriminator=judge, discriminator_optimizer=its):
            self.train()
            for i in context.batches():
                clean, attacked = x[i].to(context.device), x_adv[i].to(context.device)
                with context.autocast():
                    fake = self.purify(attacked).detach()
                    loss = _cross_entropy(judge(clean), 1.0) + _cross_entropy(judge(fake), 0.0)
                descend(loss, its)
                for _ in range(GENERATOR_STEPS):
                    with context.autocast():
                        fake = self.purify(attacked)
                        fooling = _cross_entropy(judge(fake), 1.0)
                    descend(REBUILDING * F.mse_loss(fake.float(), clean) + FOOLING * fooling, own)
            self.eval()
            with context.as_stored(self):
                accuracy, mse = score(self, context, held_out)
            context.report(accuracy, accuracy=accuracy, mse=mse)


def discriminator(shape: tuple[int, int, int]) -> nn.Sequential:
    """Return the judge of images ``(N, C, H, W)``: logits ``(N, 1)`` of being clean."""
    channels, height, width = shape
    left = [(((side - 1) // 2 - 1) // 2 - 1) // 2 for side in (height, width)]
    return nn.Sequential(
        nn.Conv2d(channels, 64, 3, stride=2), nn.LeakyReLU(),
        nn.Conv2d(64, 128, 3, stride=2), nn.BatchNorm2d(128), nn.LeakyReLU(),
        nn.Conv2d(128, 256, 3, stride=2), nn.BatchNorm2d(256), nn.LeakyReLU(),
        nn.Flatten(), nn.Linear(256 * left[0] * left[1], 1),
    )  # fmt: skip


def _cross_entropy(logits: Tensor, label: float) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits.float(), torch.full_like(logits, label, dtype=torch.float32))
