"""Model A of the Defense-GAN paper, trained on images as they are and on PGD's."""

from __future__ import annotations

from torch import Tensor, nn

from purification_bench.benchmark.assets.classifiers import Classifier, Recipe
from purification_bench.benchmark.registries import register_classifier


@register_classifier("model_a")
class ModelA(Classifier):
    """The literature's small CNN: two 5x5 convolutions, one hidden layer (Samangouei et al. 2018, Model A)."""

    recipe = Recipe(epochs=20, batch_size=128, peak_lr=2e-3, shift=1)

    def __init__(self, shape: tuple[int, int, int], num_classes: int) -> None:
        super().__init__()
        channels, height, width = shape
        reduced = ((height - 5) // 2 + 1) * ((width - 5) // 2 + 1)
        self.layers = nn.Sequential(
            nn.Conv2d(channels, 64, 5, padding=2), nn.ReLU(),
            nn.Conv2d(64, 64, 5, stride=2), nn.ReLU(),
            nn.Dropout(0.25),
            nn.Flatten(),
            nn.Linear(64 * reduced, 128), nn.ReLU(),
            nn.Dropout(0.5),
            nn.Linear(128, num_classes),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """Return logits ``(N, K)``."""
        logits: Tensor = self.layers(x - 0.5)
        return logits


@register_classifier("model_a_at")
class ModelAAdversarial(ModelA):
    """``model_a`` trained on PGD's images of size ``eps``, without dropout (adversarial training, Madry et al. 2018).

    The positive control: a classifier that is robust by itself, for purifiers to be compared with and audits to clear.
    """

    recipe = Recipe(epochs=25, batch_size=128, peak_lr=1e-3, weight_decay=0.0, warm_up=0.32)

    def __init__(self, shape: tuple[int, int, int], num_classes: int, *, eps: float = 0.3) -> None:
        super().__init__(shape, num_classes)
        self.adversarial_eps = eps
        for layer in self.layers:
            if isinstance(layer, nn.Dropout):
                layer.p = 0.0
