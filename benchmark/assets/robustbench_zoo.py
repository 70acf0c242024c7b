"""RobustBench's model zoo as a source of classifiers (Croce et al. 2021)."""

from __future__ import annotations

from torch import Tensor

from purification_bench.benchmark.assets.classifiers import Classifier
from purification_bench.benchmark.paths import cache_dir
from purification_bench.benchmark.registries import register_classifier
from purification_bench.defenses.errors import UserError, unknown_name

DATASETS = {10: "cifar10", 100: "cifar100"}
"""Of RobustBench, by the number of classes: images of 3x32x32."""


@register_classifier("robustbench")
class RobustBench(Classifier):
    """A classifier of RobustBench's zoo, by its name there: ``robustbench[model=Carmon2019Unlabeled]``.

    Its classifiers are of CIFAR-10 and CIFAR-100: on other images of 3x32x32 they guess. RobustBench downloads the
    weights, once, into the user's cache, and unpickles them. Needs the extra ``robustbench``.

    Parameters
    ----------
    model:
        Its name in the zoo; ``Standard`` is trained on images as they are.
    threat:
        The zoo's part: ``Linf`` or ``L2``.
    """

    trained = False

    def __init__(
        self, shape: tuple[int, int, int], num_classes: int, *, model: str = "Standard", threat: str = "Linf"
    ) -> None:
        super().__init__()
        if shape != (3, 32, 32) or num_classes not in DATASETS:
            raise UserError(
                f"RobustBench has classifiers of 3x32x32 images in 10 or 100 classes, not {num_classes} of {shape}"
            )
        try:
            from robustbench.model_zoo import model_dicts
            from robustbench.utils import load_model
        except ImportError as error:  # of another package's copy of it, too, which lacks what it needs
            needs = "pip install 'purification-bench[robustbench]'"
            raise UserError(f"classifier robustbench needs RobustBench ({error}): {needs}") from error

        dataset = DATASETS[num_classes]
        parts = next(parts for each, parts in model_dicts.items() if each.value == dataset)
        zoo = {part.value: models for part, models in parts.items()}
        for what, name, known in (("part of RobustBench's zoo:", threat, zoo), ("model", model, zoo.get(threat, {}))):
            if name not in known:
                raise unknown_name(what, name, known)
        self.network = load_model(model, cache_dir() / "robustbench", dataset, threat)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits ``(N, K)``."""
        logits: Tensor = self.network(x)
        return logits
