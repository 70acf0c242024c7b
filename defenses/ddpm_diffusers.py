"""Purification by a diffusion model that somebody else has trained, through the library ``diffusers``."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from torch import Tensor, nn

from purification_bench.defenses import diffusion
from purification_bench.defenses.ddpm import ReverseChain
from purification_bench.defenses.errors import UserError
from purification_bench.defenses.registry import register_defense
from purification_bench.defenses.spec import Scalar

SCHEDULE: Mapping[str, Scalar] = {
    "num_train_timesteps": diffusion.STEPS,
    "beta_start": diffusion.FIRST,
    "beta_end": diffusion.LAST,
    "beta_schedule": "linear",
    "prediction_type": "epsilon",
    "trained_betas": None,
}
"""What a pipeline's scheduler must say: the diffusion of Ho et al. (2020)."""
NETWORK: Mapping[str, Scalar] = {"class_embed_type": None, "num_class_embeds": None}
"""What a network must say: it is told no class."""


@register_defense("ddpm_diffusers")
class DDPMDiffusers(ReverseChain):
    """``ddpm`` with the network of an unconditional ``diffusers`` pipeline (DiffPure: Nie et al. 2022).

    ``diffusers`` downloads what is named, once, or reads a folder that it saved. Needs the extra ``diffusers``.

    Parameters
    ----------
    pipeline:
        Name on the hub, or folder.
    t:
        How far images are taken, of the 1,000 steps of training (DiffPure on CIFAR-10: 100).
    steps:
        Evaluations of the network on the way back.
    """

    shown_options = frozenset({"pipeline", "t", "steps"})
    inference_options = frozenset({"pipeline", "t", "steps"})

    def __init__(self, *, pipeline: str = "google/ddpm-cifar10-32", t: int = 100, steps: int = 100) -> None:
        super().__init__(t=t, steps=steps)
        if find_spec("diffusers") is None:
            raise UserError("ddpm_diffusers needs diffusers: pip install 'purification-bench[diffusers]'")
        self.pipeline = pipeline

    def build(self, shape: tuple[int, int, int], num_classes: int) -> None:
        """Load the network; raise ``UserError`` where there is none, or it is made for other images or noise."""
        from diffusers import DDPMPipeline

        try:
            read: Any = DDPMPipeline
            loaded = read.from_pretrained(self.pipeline, use_safetensors=True)
        except (OSError, ValueError) as error:
            reason = str(error).strip().partition("\n")[0]
            raise UserError(f"no diffusers pipeline {self.pipeline!r} can be loaded: {reason}") from error
        made_for = loaded.unet.config
        expected = (made_for.in_channels, made_for.sample_size, made_for.sample_size)
        if expected != shape:
            raise UserError(f"pipeline {self.pipeline!r} is for images of shape {expected}, not {shape}")
        self._check(made_for, {**NETWORK, "out_channels": made_for.in_channels})
        self._check(loaded.scheduler.config, SCHEDULE)
        self.unet = _Predictor(loaded.unet)

    def _check(self, config: Any, wanted: Mapping[str, Scalar]) -> None:
        """Refuse a part of a pipeline whose configuration says anything else than what is known here."""
        for name, value in wanted.items():
            if config.get(name) != value:
                raise UserError(
                    f"pipeline {self.pipeline!r} has {name} {config.get(name)!r}; only {value!r} is known here"
                )


class _Predictor(nn.Module):
    """A network of ``diffusers``, asked as ours is: its times count from 0."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network.requires_grad_(False)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """Return the noise in images at times 1 to 1000."""
        seen: Tensor = self.network(x, t - 1).sample
        return seen
