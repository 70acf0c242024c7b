"""One auto-encoder against many attacks: the seed paper's limitation, that each CAE knows one, met by training."""

from __future__ import annotations

import torch
from torch import Tensor

from purification_bench.defenses.cae import CAE
from purification_bench.defenses.context import FitContext, Split
from purification_bench.defenses.registry import register_defense
from purification_bench.defenses.validation import score

MIXTURE = (("fgsm", 0.1), ("fgsm", 0.3), ("fgsm", 0.6), ("pgd", 0.15), ("pgd[steps=10]", 0.3))
"""Attacks on the bare classifier, with their sizes, that training images were perturbed with; clean ones join them."""


@register_defense("cae_multi")
class CAEMulti(CAE):
    """The CAE trained on clean images and on those of five attacks at once: no more layers, no more time an image.

    The seed paper names this generality as what its auto-encoders lack (Mandal 2023, section 5).

    Parameters
    ----------
    latent_dim, noise:
        As for ``cae``; longer and less noisy than the released code's, since clean images are to be kept too.
    """

    paper = ""

    def __init__(self, *, latent_dim: int = 64, noise: float = 0.1) -> None:
        super().__init__(latent_dim=latent_dim, noise=noise)

    def fit(self, context: FitContext) -> None:
        """Minimise the squared error from any of the images to the clean one; each batch draws its own mixture.

        The epoch kept has the best mean validation accuracy over clean images and all attacks.
        """
        seen = _seen(context, "train")
        self._descend(context, lambda i: seen[torch.randint(len(seen), (len(i),)), i])

    def _validate(self, context: FitContext) -> None:
        self.eval()
        with context.as_stored(self):
            scores = [score(self, context, images) for images in _seen(context, "validation")]
        right = [accuracy for accuracy, _ in scores]
        mean = sum(right) / len(right)
        squared = sum(mse for _, mse in scores) / len(scores)
        context.report(mean, accuracy=mean, worst_accuracy=min(right), clean_accuracy=right[0], mse=squared)


def _seen(context: FitContext, split: Split) -> Tensor:
    """Return clean and attacked images of a split, ``(1 + attacks, N, C, H, W)``."""
    attacked = [context.adversarial(attack, eps, split) for attack, eps in MIXTURE]
    return torch.stack([context.images(split), *attacked])
