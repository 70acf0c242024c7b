"""Denoising by total variation: the smoothest image nearby, with its edges."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import torch
from torch import Tensor

from purification_bench.defenses.base import Defense
from purification_bench.defenses.errors import UserError, positive
from purification_bench.defenses.registry import register_defense


@register_defense("total_variation")
class TotalVariation(Defense):
    """Find an image near x of small total variation (Rudin et al. 1992, as a defense Guo et al. 2018), by scikit-image.

    Guo et al. drop random pixels first and fill them in; here all are kept, so it draws nothing. It has no gradient;
    attacks pass the identity back in its place, as Athalye et al. (2018) did. Needs the extra ``transforms``.

    Parameters
    ----------
    weight:
        Of the total variation against the distance from x: the more, the smoother.
    """

    paper = "Guo et al. 2018, arXiv:1711.00117"
    differentiable = False

    def __init__(self, *, weight: float = 0.3) -> None:
        super().__init__()
        positive(weight=weight)
        if find_spec("skimage") is None:
            raise UserError("total_variation needs scikit-image: pip install 'purification-bench[transforms]'")
        self.weight = weight

    def purify(self, x: Tensor) -> Tensor:
        """Denoise image by image, on the CPU."""
        from skimage.restoration import denoise_tv_chambolle

        images = x.detach().cpu().numpy()
        smooth = [denoise_tv_chambolle(image, weight=self.weight, channel_axis=0) for image in images]
        return torch.from_numpy(np.stack(smooth)).to(x.device, x.dtype).clamp(0, 1)
