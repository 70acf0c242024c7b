"""Fitting a classifier: on images as they are, or as PGD makes them (adversarial training, Madry et al. 2018)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import ConstantLR, LRScheduler, OneCycleLR

from purification_bench.benchmark.assets.classifiers import Classifier, Recipe
from purification_bench.benchmark.assets.data import Images
from purification_bench.benchmark.train.augmentation import shifted
from purification_bench.benchmark.train.context import Training
from purification_bench.benchmark.train.pruning import Pruning

ADVERSARY_STEPS = 7
"""Of PGD, from a random start in the ball, on each training batch."""
JUDGE = "pgd[steps=20]"
"""Attacks validation images after each epoch."""
JUDGED_IMAGES = 1000


def fit_classifier(classifier: Classifier, training: Training, teacher: nn.Module | None = None) -> None:
    """Minimise cross-entropy, of the labels or of a teacher's answers, at the classifier's temperature.

    The epoch kept has the best validation accuracy: under attack, if training is adversarial; among those that are
    pruned to the end, if it prunes.
    """
    settings, recipe = training.settings, classifier.recipe
    steps = -(-len(training.labels("train")) // settings.batch_size) * settings.epochs
    optimizer, schedule = _optimizer(classifier, recipe, steps)
    adversary = _Adversary(classifier, training) if classifier.adversarial_eps else None
    pruning = Pruning(classifier, recipe.sparsity, settings.epochs)
    fit = _Fit(classifier, training, optimizer, schedule, adversary, pruning, teacher)
    for epoch in training.epochs(model=classifier, optimizer=optimizer, schedule=schedule):
        pruning.begin(epoch)
        loss = fit.train_epoch(epoch)
        if not pruning.complete(epoch):
            training.pass_over()
        fit.validate(loss)


def _optimizer(classifier: Classifier, recipe: Recipe, steps: int) -> tuple[Optimizer, LRScheduler]:
    rate, decay = recipe.peak_lr, recipe.weight_decay
    optimizer: Optimizer
    if recipe.optimizer == "sgd":
        optimizer = SGD(classifier.parameters(), rate, weight_decay=decay)
        return optimizer, ConstantLR(optimizer, factor=1.0)
    optimizer = AdamW(classifier.parameters(), rate, weight_decay=decay)
    return optimizer, OneCycleLR(optimizer, rate, total_steps=steps)


@torch.no_grad()
def evaluate_accuracy(classifier: nn.Module, images: Images, device: torch.device) -> float:
    """Return the share of images that the classifier gets right, in eval mode and float32."""
    classifier.eval()
    correct = 0
    for x, y in zip(images.x.split(500), images.y.split(500), strict=True):
        correct += int((classifier(x.to(device)).argmax(dim=1).cpu() == y).sum())
    return correct / len(images.y)


@dataclass
class _Adversary:
    """Who attacks the classifier while it is trained."""

    classifier: Classifier
    training: Training

    def perturb(self, x: Tensor, y: Tensor, epoch: int) -> Tensor:
        """Return a training batch's adversarial images; their size grows over the first epochs."""
        settings = self.training.settings
        growth = min(1.0, (epoch + 1) / max(1, round(self.classifier.recipe.warm_up * settings.epochs)))
        attack = f"pgd[steps={settings.adversary_steps or ADVERSARY_STEPS}]"
        return self.training.attacked(self.classifier, attack, growth * self.classifier.adversarial_eps, x, y)

    def robust_accuracy(self) -> float:
        """Return the share of validation images on which the classifier withstands the attack at full size."""
        held_out, eps, right = self.training.data["validation"], self.classifier.adversarial_eps, 0
        judged = Images(held_out.x[:JUDGED_IMAGES], held_out.y[:JUDGED_IMAGES])
        for start in range(0, len(judged.y), 250):
            x, y = (part[start : start + 250].to(self.training.device) for part in judged)
            x_adv = self.training.attacked(self.classifier, JUDGE, eps, x, y, judging=start)
            with torch.no_grad():
                right += int((self.classifier.eval()(x_adv).argmax(dim=1) == y).sum())
        return right / len(judged.y)


@dataclass
class _Fit:
    """A classifier in training, and everything that moves its weights."""

    classifier: Classifier
    training: Training
    optimizer: Optimizer
    schedule: LRScheduler
    adversary: _Adversary | None
    pruning: Pruning
    teacher: nn.Module | None

    def train_epoch(self, epoch: int) -> float:
        """Take one step for each batch; return the mean loss."""
        x, y, device = self.training.images("train"), self.training.labels("train"), self.training.device
        total = 0.0
        for i in self.training.batches():
            batch, labels = shifted(x[i].to(device), self.classifier.recipe.shift), y[i].to(device)
            if self.adversary:
                batch = self.adversary.perturb(batch, labels, epoch)
            total += self._step(batch, labels) * len(i)
        return total / len(y)

    def _step(self, batch: Tensor, labels: Tensor) -> float:
        """Descend the cross-entropy of one batch; return it."""
        self.classifier.train()
        with self.training.autocast():
            logits = self.classifier(batch)
        loss = F.cross_entropy(logits.float() / self.classifier.temperature, self._wanted(batch, labels))
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        self.schedule.step()
        self.pruning.apply()
        return loss.item()

    @torch.no_grad()
    def _wanted(self, batch: Tensor, labels: Tensor) -> Tensor:
        """Return what the classifier is to answer: labels ``(N,)``, or a teacher's probabilities ``(N, K)``."""
        if self.teacher is None:
            return labels
        probabilities: Tensor = (self.teacher(batch) / self.classifier.temperature).softmax(dim=1)
        return probabilities

    def validate(self, loss: float) -> None:
        """Report the validation accuracy of the weights as they will be stored."""
        held_out = self.training.data["validation"]
        with self.training.as_stored(self.classifier):
            accuracy = evaluate_accuracy(self.classifier, held_out, self.training.device)
            robust = self.adversary.robust_accuracy() if self.adversary else None
        if robust is None:
            self.training.report(accuracy, accuracy=accuracy, loss=loss)
        else:
            self.training.report(robust, robust_accuracy=robust, accuracy=accuracy, loss=loss)
