"""An auto-encoder trained through the classifier, against an attacker who sees both."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Adam
from torch.optim.lr_scheduler import ExponentialLR

from purification_bench.defenses.base import DefendedClassifier, Defense
from purification_bench.defenses.context import FitContext
from purification_bench.defenses.errors import not_negative, positive
from purification_bench.defenses.optimising import descend
from purification_bench.defenses.registry import register_defense

RATE, RATE_DECAY = 1e-3, 0.85
"""Adam's learning rate at first, and what it is multiplied by after each epoch."""
GROWING = 0.3
"""Over this share of the epochs the attack grows to its full size: at that from the start, one grey image is learnt."""
JUDGE, JUDGED_IMAGES = "pgd[steps=20]", 1000
"""Attacks so many validation images after each epoch."""


@register_defense("cae_at")
class CAEAT(Defense):
    """Auto-encoder before a frozen classifier, trained on what attacks both together (AdvAE: Li et al. 2019).

    The auto-encoders of the seed paper meet the attacks on the bare classifier alone. Here each batch is attacked
    through purifier and classifier as they are at that moment (adversarial training, Madry et al. 2018), and the
    purifier descends the cross-entropy of the classifier's answer. So of each step the attacker's gradient is true.

    Parameters
    ----------
    against, eps:
        The attack on both, and its size in pixel units, that each training batch is perturbed with.
    rebuilding:
        Weight, beside the cross-entropy, of the mean square error between the purified and the clean image.
    """

    paper = "Li et al. 2019, arXiv:1905.10729"
    training_knowledge = "attack"
    epochs, batch_size = 5, 50

    def __init__(self, *, against: str = "pgd[steps=5]", eps: float = 0.3, rebuilding: float = 1.0) -> None:
        super().__init__()
        positive(eps=eps)
        not_negative(rebuilding=rebuilding)
        self.against, self.eps, self.rebuilding = against, eps, rebuilding

    def build(self, shape: tuple[int, int, int], num_classes: int) -> None:
        """Make the encoder, to a quarter of height and width, and the decoder that mirrors it."""
        channels, *self.size = shape
        self.layers = nn.Sequential(
            nn.Conv2d(channels, 32, 3, padding=1), nn.ReLU(),
            nn.Conv2d(32, 32, 3, stride=2, padding=1), nn.ReLU(),
            nn.Conv2d(32, 64, 3, stride=2, padding=1), nn.ReLU(),
            nn.Conv2d(64, 64, 3, padding=1), nn.ReLU(),
            nn.Upsample(scale_factor=2), nn.Conv2d(64, 32, 3, padding=1), nn.ReLU(),
            nn.Upsample(scale_factor=2), nn.Conv2d(32, 16, 3, padding=1), nn.ReLU(),
            nn.Conv2d(16, channels, 3, padding=1),
        ).to(memory_format=torch.channels_last)  # fmt: skip

    def purify(self, x: Tensor) -> Tensor:
        """Encode and decode."""
        height, width = self.size
        rebuilt: Tensor = self.layers(x)[:, :, :height, :width]
        return torch.sigmoid(rebuilt)

    def fit(self, context: FitContext) -> None:
        """Descend the cross-entropy under attack, and the square error; the epoch that withstands PGD best is kept."""
        x, y = context.images("train"), context.labels("train")
        defended = DefendedClassifier(context.classifier, self)
        optimizer = Adam(self.parameters(), lr=RATE)
        schedule = ExponentialLR(optimizer, RATE_DECAY)
        for epoch in context.epochs(model=self, optimizer=optimizer, schedule=schedule):
            eps = self.eps * min(1.0, (epoch + 1) / max(1, round(GROWING * context.num_epochs)))
            for i in context.batches():
                clean, labels = x[i].to(context.device), y[i].to(context.device)
                x_adv = context.attacked(defended, self.against, eps, clean, labels)
                with context.autocast():
                    purified = self.purify(x_adv)
                    logits = context.classifier(purified)
                loss = F.cross_entropy(logits.float(), labels)
                loss = loss + self.rebuilding * F.mse_loss(purified.float(), clean)
                descend(loss, optimizer)
            schedule.step()
            with context.as_stored(self):
                self._validate(context, defended)

    def _validate(self, context: FitContext, defended: DefendedClassifier) -> None:
        x, y = context.images("validation"), context.labels("validation")
        clean, robust = 0, 0
        for part in torch.arange(min(JUDGED_IMAGES, len(y))).split(250):
            images, labels = x[part].to(context.device), y[part].to(context.device)
            x_adv = context.attacked(defended, JUDGE, self.eps, images, labels, judging=int(part[0]))
            with torch.no_grad():
                clean += int((defended(images).argmax(dim=1) == labels).sum())
                robust += int((defended(x_adv).argmax(dim=1) == labels).sum())
        judged = min(JUDGED_IMAGES, len(y))
        context.show(torch.cat([x_adv[:32], self.purify(x_adv[:32])]).detach())
        context.report(robust / judged, robust_accuracy=robust / judged, accuracy=clean / judged)
