"""Defensive distillation: a classifier that learns, hot, what another one answers (Papernot et al. 2016)."""

from __future__ import annotations

from purification_bench.benchmark.assets.classifiers import Recipe
from purification_bench.benchmark.assets.model_a import ModelA
from purification_bench.benchmark.registries import register_classifier
from purification_bench.defenses.errors import positive
from purification_bench.defenses.spec import write_spec

TEMPERATURE = 20.0
"""The paper's for MNIST."""
RECIPE = Recipe(epochs=10, batch_size=128, peak_lr=2e-3, shift=1)


@register_classifier("model_a_hot")
class ModelAHot(ModelA):
    """``model_a`` trained with logits divided by ``temperature``: the teacher of ``model_a_distilled``."""

    recipe = RECIPE

    def __init__(self, shape: tuple[int, int, int], num_classes: int, *, temperature: float = TEMPERATURE) -> None:
        super().__init__(shape, num_classes)
        positive(temperature=temperature)
        self.temperature = temperature


@register_classifier("model_a_distilled")
class ModelADistilled(ModelAHot):
    """``model_a`` trained, hot, on the answers of ``model_a_hot``: defensive distillation (Papernot et al. 2016).

    In use its logits are as many times as large as the temperature says, so that the gradient of a cross-entropy
    vanishes. Attacks that follow that gradient fail; those on logits or margins do not (Carlini and Wagner 2016).
    """

    def __init__(self, shape: tuple[int, int, int], num_classes: int, *, temperature: float = TEMPERATURE) -> None:
        super().__init__(shape, num_classes, temperature=temperature)
        self.teacher = write_spec("model_a_hot", {"temperature": temperature})
