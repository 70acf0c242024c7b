"""Defense-GAN whose descent starts where an encoder says, instead of at random."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.optim import Adam

from purification_bench.defenses.context import FitContext
from purification_bench.defenses.defensegan import DefenseGAN
from purification_bench.defenses.descent import errors
from purification_bench.defenses.errors import at_least_one, positive
from purification_bench.defenses.optimising import descend
from purification_bench.defenses.registry import register_defense
from purification_bench.defenses.wgan import LATENT_DIM, LEAK

WIDTHS = (32, 64, 128)
"""Channels of the encoder's three convolutions."""
CORRUPTION = 0.4
"""In training, images are corrupted by noise of up to so much."""


class Encoder(nn.Module):
    """Images ``(N, C, H, W)`` to latent codes ``(N, 128)``: three 5x5 convolutions of stride 2, a dense layer."""

    def __init__(self, shape: tuple[int, int, int]) -> None:
        super().__init__()
        channels, height, width = shape
        layers: list[nn.Module] = []
        for inputs, outputs in zip((channels, *WIDTHS), WIDTHS, strict=False):
            layers += [nn.Conv2d(inputs, outputs, 5, stride=2, padding=2), nn.LeakyReLU(LEAK)]
        self.features = nn.Sequential(*layers, nn.Flatten())
        self.hidden = nn.Linear(WIDTHS[-1] * -(-height // 8) * -(-width // 8), 512)
        self.code = nn.Linear(512, LATENT_DIM)

    def forward(self, x: Tensor) -> Tensor:
        """Return the codes of images."""
        hidden = nn.functional.leaky_relu(self.hidden(self.features(x)), LEAK)
        code: Tensor = self.code(hidden)
        return code


@register_defense("defensegan_encoder")
class DefenseGANEncoder(DefenseGAN):
    """Projection onto the images of ``defensegan``'s generator by one short descent from an encoder's code.

    The encoder is trained to give, for a corrupted image, the code whose image is the clean one: one start in the
    right valley, where ``defensegan`` tries several.

    Parameters
    ----------
    steps:
        Gradient steps after the encoder; the step size falls to a tenth at four fifths of them.
    step_size, momentum:
        Of the gradient descent.
    """

    paper = "Samangouei et al. 2018, arXiv:1805.06605, started by an encoder as in Zhu et al. 2016, arXiv:1609.03552"
    epochs, batch_size = 8, 64
    inference_options = frozenset({"steps", "step_size", "momentum"})
    shown_options = frozenset({"steps"})

    def __init__(self, *, steps: int = 5, step_size: float = 2.0, momentum: float = 0.7) -> None:
        at_least_one(steps=steps)
        positive(step_size=step_size)
        super().__init__(steps=steps, restarts=1, step_size=step_size, momentum=momentum, z_init=0.0)
        self.stochastic = False

    def build(self, shape: tuple[int, int, int], num_classes: int) -> None:
        """Make the generator and the encoder."""
        super().build(shape, num_classes)
        self.encoder = Encoder(shape).to(memory_format=torch.channels_last)

    def starts(self, x: Tensor) -> Tensor:
        """Return the encoder's codes ``(N, 1, 128)``."""
        codes: Tensor = self.encoder(x)
        return codes[:, None]

    def fit(self, context: FitContext) -> None:
        """Train the encoder to rebuild corrupted training images through ``defensegan``'s generator, which is frozen.

        The epoch kept is the one that rebuilds corrupted validation images best.
        """
        self.generator.load_state_dict(context.trained("defensegan").generator.state_dict())
        self.generator.requires_grad_(False)
        x, optimizer = context.images("train"), Adam(self.encoder.parameters(), lr=5e-4)
        schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.7)
        held_out = context.images("validation")[:1000].to(context.device)
        seen = _corrupted(held_out, torch.Generator(context.device).manual_seed(0))
        for _ in context.epochs(model=self, optimizer=optimizer, schedule=schedule):
            total = 0.0
            for i in context.batches():
                clean = x[i].to(context.device)
                loss = errors(self.decode(self.encoder(_corrupted(clean))), clean).mean()
                descend(loss, optimizer)
                total += float(loss.detach()) * len(i)
            schedule.step()
            with context.as_stored(self), torch.no_grad():
                rebuilt = self.decode(self.encoder(seen))
            error = float(errors(rebuilt, held_out).mean())
            context.show(torch.cat([seen[:32], rebuilt[:32]]))
            context.report(-error, rebuilt_mse=error, training_mse=total / len(x))


def _corrupted(x: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Return images under noise such as attacks may make: Gaussian or of signs alone, of any size up to a limit."""
    size = CORRUPTION * torch.rand(len(x), 1, 1, 1, device=x.device, generator=generator)
    noise = torch.randn(x.shape, device=x.device, generator=generator)
    signs = torch.rand(len(x), 1, 1, 1, device=x.device, generator=generator) < 0.5
    return (x + size * torch.where(signs, noise.sign(), noise)).clamp(0, 1)
