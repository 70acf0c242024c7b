"""The auto-encoder of the seed paper with weights that are drawn: the Bayesian one that it names as future work."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from purification_bench.defenses.cae import CAE, SIDE, resize
from purification_bench.defenses.errors import positive
from purification_bench.defenses.registry import register_defense

FIRST_DEVIATION = 0.01
"""Of every weight, when training begins."""


@register_defense("cae_bayes")
class BayesianCAE(CAE):
    """``cae`` whose every weight is a Gaussian, drawn anew for each pass (Bayes by backprop: Blundell et al. 2015).

    One draw of the weights serves a whole batch. The code gets no noise of its own.

    Parameters
    ----------
    against, eps, latent_dim:
        As of ``cae``.
    variance:
        Of a pixel around its reconstruction: it weighs the square error against the divergence of the weights.
    prior:
        Standard deviation of the Gaussian that the weights are held near.
    """

    paper = "named as future work in Mandal 2023; Blundell et al. 2015, arXiv:1505.05424"

    def __init__(
        self,
        *,
        against: str = "fgsm",
        eps: float = 0.6,
        latent_dim: int = 32,
        variance: float = 0.01,
        prior: float = 0.1,
    ) -> None:
        super().__init__(against=against, eps=eps, latent_dim=latent_dim, noise=0.0)
        positive(variance=variance, prior=prior)
        self.variance, self.prior = variance, prior
        self.stochastic = True

    def build(self, shape: tuple[int, int, int], num_classes: int) -> None:
        """Make the auto-encoder, whose weights are the means, and a deviation beside each."""
        super().build(shape, num_classes)
        start = math.log(math.expm1(FIRST_DEVIATION))
        self.spread = nn.ModuleDict({part: _spread(network, start) for part, network in self._parts()})

    def purify(self, x: Tensor) -> Tensor:
        """Draw the weights, encode, decode."""
        images = resize(x, (SIDE, SIDE))
        for part, network in self._parts():
            images = functional_call(network, self._drawn(part, network), (images,))
        return resize(images, self.size)

    def divergence(self) -> Tensor:
        """Return the Kullback-Leibler divergence of the weights from their prior, summed."""
        terms = []
        for part, network in self._parts():
            for mean, deviation in zip(network.parameters(), self._deviations(part), strict=True):
                ratio = deviation / self.prior
                terms.append((0.5 * (ratio.square() + (mean / self.prior).square() - 1) - ratio.log()).sum())
        return torch.stack(terms).sum()

    def _parts(self) -> Iterator[tuple[str, nn.Module]]:
        yield from (("encoder", self.encoder), ("decoder", self.decoder))

    def _deviations(self, part: str) -> Iterator[Tensor]:
        return (F.softplus(value) for value in self.spread[part].parameters())

    def _drawn(self, part: str, network: nn.Module) -> dict[str, Tensor]:
        return {
            name: mean + deviation * torch.randn_like(mean)
            for (name, mean), deviation in zip(network.named_parameters(), self._deviations(part), strict=True)
        }

    def loss(self, purified: Tensor, x: Tensor, total: int) -> Tensor:
        """Return an image's square error and its share of the divergence, which an epoch counts once."""
        squared = (purified - x).square().sum() / len(x)
        return squared / (2 * self.variance) + self.divergence() / total


def _spread(network: nn.Module, start: float) -> nn.ParameterList:
    """Return what softplus makes the standard deviations of a network's weights of."""
    return nn.ParameterList(nn.Parameter(torch.full_like(weight, start)) for weight in network.parameters())
