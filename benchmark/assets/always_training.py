"""A classifier in training mode for ever: what the seed paper's released code attacks and judges."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from torch import Tensor, nn

from purification_bench.benchmark.assets.classifiers import Classifier


class AlwaysTraining(Classifier):
    """A classifier that nothing takes out of training mode: dropout and the batch's own statistics stay on."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier = classifier
        self.spec = classifier.spec
        self.adversarial_eps = classifier.adversarial_eps
        self.train()

    def train(self, mode: bool = True) -> AlwaysTraining:
        """Stay in training mode, whatever ``mode`` asks for."""
        super().train(True)
        return self

    def forward(self, x: Tensor) -> Tensor:
        """Return logits ``(N, K)``; the running statistics, which it never uses, stay as they are."""
        with _frozen_statistics(self.classifier):
            logits: Tensor = self.classifier(x)
        return logits


@contextlib.contextmanager
def _frozen_statistics(model: nn.Module) -> Iterator[None]:
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True
