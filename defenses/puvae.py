"""PuVAE: a class-conditional variational auto-encoder that purifies (Hwang et al. 2019)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from purification_bench.defenses.base import Defense
from purification_bench.defenses.conditional_vae import code_layers, decoder_layers, feature_layers
from purification_bench.defenses.context import FitContext
from purification_bench.defenses.errors import at_least_one, not_negative, positive
from purification_bench.defenses.registry import register_defense

RECONSTRUCTION, DIVERGENCE, CROSS_ENTROPY = 0.01, 0.1, 10.0
"""Weights of the three terms of the loss: a sum over pixels, a mean over latent dimensions, a mean over images."""
MAX_GRADIENT = 0.1
"""The gradient's norm is clipped here: single images with a large cross-entropy else stall the reconstruction."""
RATE_DECAY = 0.9
"""The learning rate, 1e-3 at first, is multiplied by this after each epoch."""
CODE_SCALES = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5)
AFFORDED = 0.05
"""Training ends with the choice of ``code_scale``: of these, what is right most often on validation images under FGSM
of size .3, among those that cost at most so much accuracy on clean ones."""

SOFTNESS = 0.002
"""Mean square error that makes a reconstruction e times lighter in the relaxed choice."""


@register_defense("puvae")
class PuVAE(Defense):
    """Reconstruction under every label by a class-conditional VAE; the nearest to the input wins (Hwang et al. 2019).

    Parameters
    ----------
    latent_dim:
        Length of the latent code z.
    hidden:
        Width of the encoder's two dense layers (the paper's: 1024).
    stride:
        Of the encoder's three convolutions (the paper's: 1, which gives the first dense layer 26 million weights).
    corruption:
        In training, the encoder sees each image under Gaussian noise, of a standard deviation drawn from
        [0, corruption] (the paper's: 0). Without it the encoder meets large perturbations unprepared: docs/puvae.md.
    wrong_labels:
        In training, each image is also decoded under one wrong label, drawn at random; its divergence, and the
        cross-entropy that asks the classifier for that wrong label, enter the loss times this (the paper's: 0).
        Without it the codes under wrong labels, which purification compares, have never been trained.
    code_scale, noise:
        In use, the mean of z is multiplied by the first (the paper's: 1; none: by what training chose), its deviation
        by the second (in training both by 1; 0: no randomness). Shorter codes are less able to imitate what an attack
        has added.
    """

    paper = "Hwang et al. 2019, arXiv:1903.00585"
    training_knowledge = "attack"
    epochs, batch_size = 20, 100
    inference_options = frozenset({"code_scale", "noise"})
    shown_options = frozenset({"hidden", "stride", "corruption", "wrong_labels"})
    chosen_scale: Tensor

    def __init__(
        self,
        *,
        latent_dim: int = 32,
        hidden: int = 512,
        stride: int = 2,
        corruption: float = 0.6,
        wrong_labels: float = 1.0,
        code_scale: float | None = None,
        noise: float = 0.1,
    ) -> None:
        super().__init__()
        at_least_one(latent_dim=latent_dim, hidden=hidden, stride=stride)
        not_negative(corruption=corruption, wrong_labels=wrong_labels, noise=noise)
        positive(code_scale=code_scale)
        self.latent_dim = latent_dim
        self.hidden = hidden
        self.stride = stride
        self.corruption = corruption
        self.wrong_labels = wrong_labels
        self.code_scale = code_scale
        self.noise = noise
        self.stochastic = noise > 0

    def build(self, shape: tuple[int, int, int], num_classes: int) -> None:
        """Make the encoder, in two parts (image features; code from features and label), and the decoder."""
        self.num_classes = num_classes
        self.features = feature_layers(shape[0], self.stride)
        with torch.no_grad():
            num_features = self.features(torch.zeros(1, *shape)).shape[1]
        self.code = code_layers(num_features + num_classes, self.hidden, self.latent_dim)
        # A fifth to a third faster on the CPU.
        self.decoder = decoder_layers(self.latent_dim + num_classes, shape).to(memory_format=torch.channels_last)
        self.size = shape[1:]
        self.register_buffer("chosen_scale", torch.ones(()))

    def posterior(self, features: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and deviation ``(N, latent_dim)`` of z: features ``(N, F)``, one-hot labels ``(N, K)``."""
        mean, spread = self.code(torch.cat([features, labels], dim=1)).chunk(2, dim=1)
        return mean, F.softplus(spread)

    def reconstruct(self, z: Tensor, labels: Tensor) -> Tensor:
        """Return the images ``(N, C, H, W)`` of codes ``(N, latent_dim)`` under one-hot labels ``(N, K)``."""
        return torch.sigmoid(self._decode(z, labels))

    def _decode(self, z: Tensor, labels: Tensor) -> Tensor:
        """Return the images before the sigmoid."""
        height, width = self.size
        logits: Tensor = self.decoder(torch.cat([z, labels], dim=1))[:, :, :height, :width]
        return logits

    def purify(self, x: Tensor) -> Tensor:
        """Encode and decode under all labels in one batch; return the reconstruction nearest to each image."""
        return self._nearest(x, self._scale, self.noise)

    def encode(self, x: Tensor) -> Tensor:
        """Return the chosen label's code and one-hot label, ``(N, latent_dim + K)``, without noise."""
        labels = torch.eye(self.num_classes, device=x.device)
        _, errors = self._candidates(x, self._scale, noise=0)
        chosen = labels[errors.argmin(dim=1)]
        mean, _ = self.posterior(self.features(x), chosen)
        return torch.cat([self._scale * mean, chosen], dim=1)

    def decode(self, z: Tensor) -> Tensor:
        """Return the images of codes and labels ``(N, latent_dim + K)``."""
        return self.reconstruct(z[:, : self.latent_dim], z[:, self.latent_dim :])

    def candidates(self, x: Tensor) -> Tensor:
        """Return the reconstructions ``(N, K, C, H, W)`` under every label."""
        return self._candidates(x, self._scale, self.noise)[0]

    def relaxation(self, x: Tensor) -> Tensor:
        """Return the mean of all labels' reconstructions, the nearer the heavier: a choice with a gradient."""
        images, errors = self._candidates(x, self._scale, self.noise)
        weights = (-errors / SOFTNESS).softmax(dim=1)
        return (weights[:, :, None, None, None] * images).sum(dim=1)

    @property
    def _scale(self) -> float:
        return float(self.chosen_scale) if self.code_scale is None else self.code_scale

    def _nearest(self, x: Tensor, code_scale: float, noise: float) -> Tensor:
        images, errors = self._candidates(x, code_scale, noise)
        nearest: Tensor = images[torch.arange(len(x), device=x.device), errors.argmin(dim=1)]
        return nearest

    def _candidates(self, x: Tensor, code_scale: float, noise: float) -> tuple[Tensor, Tensor]:
        """Return each image's reconstruction under every label ``(N, K, C, H, W)`` and its mean square error."""
        labels = torch.eye(self.num_classes, device=x.device)
        features = self.features(x).repeat_interleave(self.num_classes, dim=0)
        mean, deviation = self.posterior(features, labels.repeat(len(x), 1))
        z = code_scale * mean
        if noise:
            z = z + noise * deviation * torch.randn_like(mean)
        images = self.reconstruct(z, labels.repeat(len(x), 1)).unflatten(0, (len(x), self.num_classes))
        return images, (images - x[:, None]).square().mean(dim=(2, 3, 4))

    def fit(self, context: FitContext) -> None:
        """Minimise 0.01 reconstruction + 0.1 divergence + 10 cross-entropy of the frozen classifier by Adam.

        The epoch kept is the one whose purified validation images, corrupted like those of training, the classifier
        gets right most often. Its ``code_scale`` is chosen last.
        """
        optimizer = torch.optim.Adam(self.parameters(), lr=1e-3)
        schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, RATE_DECAY)
        for _ in context.epochs(model=self, optimizer=optimizer, schedule=schedule):
            terms = self._train_epoch(context, optimizer)
            schedule.step()
            self._report(context, terms)
            corrupted = self._corrupt(context.images("train")[:32].to(context.device))
            with torch.no_grad():
                context.show(torch.cat([corrupted, self.purify(corrupted)]))
        with context.as_stored(self):
            chosen = self._choose_scale(context)
        self.chosen_scale.fill_(chosen)

    def _train_epoch(self, context: FitContext, optimizer: torch.optim.Optimizer) -> Tensor:
        """Take one step for each batch; return the mean of each term of the loss."""
        x, y = context.images("train"), context.labels("train")
        weights = torch.tensor([RECONSTRUCTION, DIVERGENCE, CROSS_ENTROPY], device=context.device)
        total = torch.zeros(3, device=context.device)
        for i in context.batches():
            terms = self._terms(x[i].to(context.device), y[i].to(context.device), context)
            loss = terms @ weights
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(self.parameters(), MAX_GRADIENT)
            optimizer.step()
            total += terms.detach() * len(i)
        return total / len(y)

    def _report(self, context: FitContext, terms: Tensor) -> None:
        names = ("reconstruction", "divergence", "cross_entropy")
        with context.as_stored(self):
            accuracy = self._validate(context, corrupt=False)
            corrupted = self._validate(context, corrupt=True)
        losses = dict(zip(names, terms.tolist(), strict=True))
        context.report(corrupted, accuracy=accuracy, accuracy_corrupted=corrupted, **losses)

    def _terms(self, x: Tensor, y: Tensor, context: FitContext) -> Tensor:
        """Return reconstruction (binary cross-entropy), Kullback-Leibler divergence and classifier's loss."""
        with context.autocast():
            features = self.features(self._corrupt(x))
        images, divergence, cross_entropy = self._decoded(features, y, context)
        reconstruction = F.binary_cross_entropy_with_logits(images, x, reduction="sum") / len(x)
        if self.wrong_labels:
            wrong = (y + torch.randint_like(y, 1, self.num_classes)) % self.num_classes
            _, wrong_divergence, wrong_cross_entropy = self._decoded(features, wrong, context)
            divergence = divergence + self.wrong_labels * wrong_divergence
            cross_entropy = cross_entropy + self.wrong_labels * wrong_cross_entropy
        return torch.stack([reconstruction, divergence, cross_entropy])

    def _decoded(self, features: Tensor, y: Tensor, context: FitContext) -> tuple[Tensor, Tensor, Tensor]:
        """Decode a draw of z under the labels ``y``: images before the sigmoid, divergence, cross-entropy."""
        labels = F.one_hot(y, self.num_classes).to(features.dtype)
        with context.autocast():
            mean, deviation = self.posterior(features, labels)
            mean, deviation = mean.float(), deviation.float()
            images = self._decode(mean + deviation * torch.randn_like(mean), labels).float()
            scores = context.classifier(images.sigmoid()).float()
        divergence = 0.5 * (mean**2 + deviation**2 - 2 * deviation.log() - 1).mean()
        return images, divergence, F.cross_entropy(scores, y)

    def _corrupt(self, x: Tensor) -> Tensor:
        if self.corruption == 0:
            return x
        deviations = self.corruption * torch.rand(len(x), 1, 1, 1, device=x.device)
        return (x + deviations * torch.randn_like(x)).clamp(0, 1)

    def _choose_scale(self, context: FitContext) -> float:
        """Return, of the scales that can be afforded, the one that is right most often under attack; without noise."""
        clean, attacked = context.images("validation"), context.adversarial("fgsm", 0.3, "validation")
        accuracies = {scale: self._accuracy(context, clean, scale, 0.0) for scale in CODE_SCALES}
        afforded = [scale for scale in CODE_SCALES if accuracies[1.0] - accuracies[scale] <= AFFORDED]
        return max(afforded, key=lambda scale: self._accuracy(context, attacked, scale, 0.0))

    def _validate(self, context: FitContext, *, corrupt: bool) -> float:
        # With codes as they are trained: what is in use must not decide which epoch is kept.
        return self._accuracy(context, context.images("validation"), 1.0, self.noise, corrupt=corrupt)

    @torch.no_grad()
    def _accuracy(
        self, context: FitContext, x: Tensor, code_scale: float, noise: float, *, corrupt: bool = False
    ) -> float:
        """Return how often the classifier is right on purified validation images ``x``."""
        y, correct = context.labels("validation"), 0
        for batch, labels in zip(x.split(500), y.split(500), strict=True):
            images = batch.to(context.device)
            purified = self._nearest(self._corrupt(images) if corrupt else images, code_scale, noise)
            correct += int((context.classifier(purified).argmax(dim=1).cpu() == labels).sum())
        return correct / len(y)
