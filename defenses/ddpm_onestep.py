"""Purification by one evaluation of a diffusion model's network."""

from __future__ import annotations

from purification_bench.defenses.ddpm import DDPM
from purification_bench.defenses.registry import register_defense


@register_defense("ddpm_onestep")
class DDPMOneStep(DDPM):
    """Noise, then the clean image that the network of ``ddpm`` sees in it at once (Carlini et al. 2023).

    Parameters
    ----------
    t:
        How far images are taken, of the 1,000 steps of training.
    width:
        Of the network, whose weights are those of ``ddpm``.
    """

    paper = "Carlini et al. 2023, arXiv:2206.10550"
    weights_of = "ddpm"
    inference_options = frozenset({"t"})
    shown_options = frozenset({"t"})

    def __init__(self, *, t: int = 250, width: int = 32) -> None:
        super().__init__(t=t, steps=1, width=width)
