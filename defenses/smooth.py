"""Denoised smoothing: noise of a given size, and one look of a diffusion model at it."""

from __future__ import annotations

from purification_bench.defenses import diffusion
from purification_bench.defenses.ddpm import DDPM
from purification_bench.defenses.errors import UserError, positive
from purification_bench.defenses.registry import register_defense


@register_defense("smooth")
class Smooth(DDPM):
    """``ddpm_onestep`` by the size of its noise: the denoiser before a smoothed classifier (Salman et al. 2020).

    One draw purifies as any other defense does. The vote of many draws has a certificate, which ``bench certify``
    computes: no attack within its L2 radius moves it. That the denoiser may be a diffusion model's network is due to
    Carlini et al. (2023).

    Parameters
    ----------
    sigma:
        Standard deviation of the noise, in pixel units; the time nearest to it is used.
    width:
        Of the network, whose weights are those of ``ddpm``.
    """

    paper = "Salman et al. 2020, arXiv:2003.01908"
    weights_of = "ddpm"
    inference_options = frozenset({"sigma"})
    shown_options = frozenset({"sigma"})

    def __init__(self, *, sigma: float = 0.5, width: int = 32) -> None:
        positive(sigma=sigma)
        least, most = diffusion.sigma(1), diffusion.sigma(diffusion.STEPS)
        if not least <= sigma <= most:
            raise UserError(f"sigma must lie between {least:.2g} and {most:.2g}, the noise of training, not be {sigma}")
        super().__init__(t=diffusion.time_of(sigma), steps=1, width=width)
