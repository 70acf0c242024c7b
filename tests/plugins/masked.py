"""Negative controls: purifiers that hide or break the gradient and are no more robust for it. Each must be exposed."""

from __future__ import annotations

import io

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from purification_bench.benchmark.assets.loading import load_defense
from purification_bench.benchmark.paths import SHIPPED_ZOO
from purification_bench.benchmark.registries import CLASSIFIERS, DATASETS, DEFENSES
from purification_bench.defenses import Defense, register_defense


@register_defense("masked_rounding")
class Rounding(Defense):
    """Sixteen grey levels: the gradient is zero almost everywhere."""

    def purify(self, x: Tensor) -> Tensor:
        return (x * 15).round() / 15


@register_defense("masked_detach")
class Detach(Defense):
    """The identity, cut off from the graph but for a term of zero."""

    def purify(self, x: Tensor) -> Tensor:
        return x.detach() + 0 * x


@register_defense("masked_no_grad")
class NoGrad(Defense):
    """The identity, computed where no graph is made."""

    def purify(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            return x.clone()


@register_defense("masked_sigmoid")
class SaturatedSigmoid(Defense):
    """A sigmoid so steep that float32 has no slope left, at a level that every pixel can cross."""

    def purify(self, x: Tensor) -> Tensor:
        return torch.sigmoid(600 * (x - 0.2))


@register_defense("masked_temperature")
class LowTemperature(Defense):
    """A soft choice among nine grey levels, at a temperature where its gradient underflows."""

    def purify(self, x: Tensor) -> Tensor:
        levels = torch.linspace(0, 1, 9, device=x.device)
        weights = (-((x[..., None] - levels) ** 2) / 1e-6).softmax(dim=-1)
        return (weights * levels).sum(dim=-1)


@register_defense("masked_constant")
class HugeConstant(Defense):
    """A constant added and removed: what is left is rounded to a sixteenth."""

    def purify(self, x: Tensor) -> Tensor:
        return ((x + 2.0**20) - 2.0**20).clamp(0, 1)


@register_defense("masked_resize")
class RandomResize(Defense):
    """A random size, and back."""

    stochastic = True

    def purify(self, x: Tensor) -> Tensor:
        side = int(torch.randint(22, 34, ()))
        small = F.interpolate(x, (side, side), mode="bilinear", align_corners=False)
        return F.interpolate(small, x.shape[-2:], mode="bilinear", align_corners=False).clamp(0, 1)


@register_defense("masked_noise")
class RandomNoise(Defense):
    """Gaussian noise of a tenth."""

    stochastic = True

    def purify(self, x: Tensor) -> Tensor:
        return (x + 0.1 * torch.randn_like(x)).clamp(0, 1)


@register_defense("masked_jpeg")
class JPEG(Defense):
    """JPEG at quality 50: no gradient at all."""

    def purify(self, x: Tensor) -> Tensor:
        pixels = (x.detach().cpu() * 255).round().to(torch.uint8)[:, 0].numpy()
        return torch.from_numpy(np.stack([_coded(image) for image in pixels])).to(x)[:, None] / 255


def _coded(image: np.ndarray) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="JPEG", quality=50)
    return np.asarray(Image.open(buffer))


@register_defense("masked_table")
class LookUp(Defense):
    """A table of 32 grey levels, looked up by a whole number."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("table", torch.linspace(0, 1, 32))

    def purify(self, x: Tensor) -> Tensor:
        return self.table[(x * 31).round().long()]


@register_defense("masked_vanishing")
class Vanishing(Defense):
    """A loop whose every step shrinks the gradient a thousandfold, and not the image."""

    def purify(self, x: Tensor) -> Tensor:
        for _ in range(20):
            x = 1e-3 * x + (1 - 1e-3) * x.detach()
        return x


@register_defense("masked_exploding")
class Exploding(Defense):
    """A loop whose every step grows the gradient a thousandfold, until it overflows."""

    def purify(self, x: Tensor) -> Tensor:
        for _ in range(20):
            x = 1e3 * x - (1e3 - 1) * x.detach()
        return x.clamp(0, 1)


@register_defense("masked_mode")
class KnowsGradients(Defense):
    """Noise for whoever takes gradients, the identity for the judge."""

    def purify(self, x: Tensor) -> Tensor:
        return torch.rand_like(x) if torch.is_grad_enabled() else x


@register_defense("masked_train_mode")
class KnowsTraining(Defense):
    """Another function in train mode, which some attack libraries switch to."""

    def purify(self, x: Tensor) -> Tensor:
        return 1 - x if self.training else (x * 15).round() / 15


@register_defense("masked_sign_noise")
class DetectsSigns(Defense):
    """Detects noise of one size and takes it away: no help against any other."""

    def purify(self, x: Tensor) -> Tensor:
        flat = x.flatten(1)
        moved = torch.where(flat > 0.5, 1 - flat, flat)
        size = moved.median(dim=1).values[:, None, None, None]
        return torch.where(x > 0.5, x + size, x - size).clamp(0, 1)


@register_defense("masked_cae")
class CutAutoEncoder(Defense):
    """A shipped auto-encoder that neither gray-box nor the identity's gradient breaks, its own gradient cut off."""

    stochastic = True

    def build(self, shape: tuple[int, int, int], num_classes: int) -> None:
        spec, classifier = DEFENSES.spec("cae[against=pgd,eps=0.15]"), CLASSIFIERS.spec("model_a")
        self.cae, _ = load_defense(spec, DATASETS.create("mnist"), classifier, torch.device("cpu"), [SHIPPED_ZOO])

    def purify(self, x: Tensor) -> Tensor:
        return self.cae.purify(x).detach() + 0 * x
