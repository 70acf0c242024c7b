"""Defense-GAN from where an inverter of the generator says, which a critic has taught to give likely images."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim import Adam

from purification_bench.defenses.context import FitContext
from purification_bench.defenses.defensegan_encoder import DefenseGANEncoder
from purification_bench.defenses.descent import errors
from purification_bench.defenses.optimising import descend
from purification_bench.defenses.registry import register_defense
from purification_bench.defenses.wgan import Critic

RATE, CRITIC_RATE, BETAS = 2e-4, 4e-4, (0.5, 0.999)
REBUILDING, CLOSE_ENOUGH = 100.0, 0.02
"""Weight of the absolute error, a mean over each column of pixels, and how much of it is forgiven."""
LIKELY_CODES = 0.5
"""Weight of the mean square of the code."""
HELD_OUT, SHOWN = 1000, 32


@register_defense("invgan")
class InvGAN(DefenseGANEncoder):
    """One descent of ``defensegan``'s generator from the code of an inverter (Lin et al. 2019).

    The inverter learns on clean images: to rebuild them, by codes that are likely, so that a critic does not tell what
    is rebuilt from what is real. The authors then take 200 steps of .01, a thousandth of Defense-GAN's, which hardly
    leave the start; here 20 of .1 go as far in a tenth of the time.

    Parameters
    ----------
    steps:
        Gradient steps after the inverter; the step size falls to a tenth at four fifths of them.
    step_size, momentum:
        Of the gradient descent.
    """

    paper = "Lin et al. 2019, arXiv:1911.10291"
    epochs, batch_size = 8, 64

    def __init__(self, *, steps: int = 20, step_size: float = 0.1, momentum: float = 0.7) -> None:
        super().__init__(steps=steps, step_size=step_size, momentum=momentum)

    def fit(self, context: FitContext) -> None:
        """Train inverter and critic in turn, the generator held fixed; kept is what rebuilds validation images best."""
        self.generator.load_state_dict(context.trained("defensegan").generator.state_dict())
        self.generator.requires_grad_(False)
        x, critic = context.images("train"), Critic(self.generator.shape).to(context.device)
        critic_optimizer = Adam(critic.parameters(), lr=CRITIC_RATE, betas=BETAS)
        optimizer = Adam(self.encoder.parameters(), lr=RATE, betas=BETAS)
        parts = {"critic": critic, "critic_optimizer": critic_optimizer, "optimizer": optimizer}
        for _ in context.epochs(model=self, **parts):
            for i in context.batches():
                real = x[i].to(context.device)
                with torch.no_grad():
                    fake = self.decode(self.encoder(real))
                descend(critic_loss(critic, real, fake), critic_optimizer)
                descend(self.loss(critic, real), optimizer)
            with context.as_stored(self):
                self._validate(context)

    def loss(self, critic: Critic, real: Tensor) -> Tensor:
        """Return what the inverter descends: the error beyond the margin, what the critic notices, the code's size."""
        codes = self.encoder(real)
        rebuilt = self.decode(codes)
        of_columns = (rebuilt - real).abs().mean(dim=2)
        error = F.relu(of_columns - CLOSE_ENOUGH).mean()
        taken_for_real: Tensor = F.softplus(-critic(rebuilt)).mean()
        size: Tensor = codes.square().mean()
        return REBUILDING * error + taken_for_real + LIKELY_CODES * size

    @torch.no_grad()
    def _validate(self, context: FitContext) -> None:
        held_out = context.images("validation")[:HELD_OUT].to(context.device)
        codes = self.encoder(held_out)
        rebuilt = self.decode(codes)
        error = float(errors(rebuilt, held_out).mean())
        context.show(torch.cat([held_out[:SHOWN], rebuilt[:SHOWN]]))
        context.report(-error, rebuilt_mse=error, code_square=float(codes.square().mean()))


def critic_loss(critic: Critic, real: Tensor, fake: Tensor) -> Tensor:
    """Return the cross-entropy of a critic that is to tell real images from rebuilt ones."""
    return F.softplus(-critic(real)).mean() + F.softplus(critic(fake)).mean()
