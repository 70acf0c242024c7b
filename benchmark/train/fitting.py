"""Fitting a classifier: on images as they are, or as PGD makes them (adversarial training, Madry et al. 2018)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from purification_bench.attacks import guard
from purification_bench.benchmark.assets.classifiers import Classifier, Recipe, augment
from purification_bench.benchmark.assets.data import Images
from purification_bench.benchmark.registries import ATTACKS
from purification_bench.benchmark.seeds import keyed_seed
from purification_bench.benchmark.train.precision import InPrecision
from purification_bench.benchmark.train.pruning import Pruning

if TYPE_CHECKING:
    from purification_bench.benchmark.train.training import Training

ADVERSARY = "pgd[steps=7]"
"""Attacks each training batch, from a random start in the ball."""
JUDGE = "pgd[steps=20]"
"""Attacks validation images after each epoch."""
JUDGED_IMAGES = 1000


def fit_classifier(classifier: Classifier, training: Training) -> None:
    """Minimise cross-entropy.

    The epoch kept has the best validation accuracy: under attack, if training is adversarial; among those that are
    pruned to the end, if it prunes.
    """
    settings, recipe, device = training.settings, classifier.recipe, training.device
    x, y = training.images("train"), training.labels("train")
    optimizer, schedule = _optimizer(classifier, recipe, -(-len(y) // settings.batch_size) * settings.epochs)
    adversary = _Adversary(classifier, training) if classifier.adversarial_eps else None
    pruning = Pruning(classifier, recipe.sparsity, settings.epochs)
    for epoch in training.epochs(model=classifier, optimizer=optimizer, schedule=schedule):
        pruning.begin(epoch)
        total = 0.0
        for step, i in enumerate(training.batches()):
            batch, labels = augment(x[i].to(device), recipe), y[i].to(device)
            if adversary:
                batch = adversary.perturb(batch, labels, epoch, step)
            classifier.train()
            with training.autocast():
                logits = classifier(batch)
            loss = F.cross_entropy(logits.float(), labels)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
            pruning.apply()
            total += loss.item() * len(i)
        if not pruning.complete(epoch):
            training.pass_over()
        with training.as_stored(classifier):
            accuracy = evaluate_accuracy(classifier, training.data["validation"], device)
            robust = adversary.robust_accuracy() if adversary else 0.0
        if adversary:
            training.report(robust, robust_accuracy=robust, accuracy=accuracy, loss=total / len(y))
        else:
            training.report(accuracy, accuracy=accuracy, loss=total / len(y))


def _optimizer(
    classifier: Classifier, recipe: Recipe, steps: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    rate, decay = recipe.peak_lr, recipe.weight_decay
    optimizer: torch.optim.Optimizer
    if recipe.optimizer == "sgd":
        optimizer = torch.optim.SGD(classifier.parameters(), rate, weight_decay=decay)
        return optimizer, torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0)
    optimizer = torch.optim.AdamW(classifier.parameters(), rate, weight_decay=decay)
    return optimizer, torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps)


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

    def perturb(self, x: Tensor, y: Tensor, epoch: int, step: int) -> Tensor:
        """Return a training batch's adversarial images; their size grows over the first epochs."""
        growth = min(1.0, (epoch + 1) / max(1, self.classifier.recipe.warm_up))
        view = InPrecision(self.classifier, self.training.autocast)
        key = ["adversary", self.training.settings.seed, epoch, step]
        return _attack(ADVERSARY, view, x, y, growth * self.classifier.adversarial_eps, key)

    def robust_accuracy(self) -> float:
        """Return the share of validation images on which the classifier withstands the attack at full size."""
        held_out, eps, right = self.training.data["validation"], self.classifier.adversarial_eps, 0
        judged = Images(held_out.x[:JUDGED_IMAGES], held_out.y[:JUDGED_IMAGES])
        for start in range(0, len(judged.y), 250):
            x, y = (part[start : start + 250].to(self.training.device) for part in judged)
            x_adv = _attack(JUDGE, self.classifier, x, y, eps, ["judge", start])
            with torch.no_grad():
                right += int((self.classifier.eval()(x_adv).argmax(dim=1) == y).sum())
        return right / len(judged.y)


def _attack(name: str, model: nn.Module, x: Tensor, y: Tensor, eps: float, key: list[object]) -> Tensor:
    return guard.run(ATTACKS.create(name), model, x, y, [eps], [keyed_seed(*key)])[0]
