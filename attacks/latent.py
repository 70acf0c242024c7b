"""The attack on a defense that decodes: search its code for an image near x that the classifier gets wrong."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from purification_bench.attacks.ball import Ball
from purification_bench.attacks.base import Attack
from purification_bench.attacks.margin import lead, lead_up_to_enough
from purification_bench.attacks.registry import register_attack
from purification_bench.attacks.steps import Steps, far_then_near
from purification_bench.attacks.tries import most_wrong
from purification_bench.attacks.views import Latent
from purification_bench.defenses.errors import at_least_one, not_negative, positive

CONFIDENCE = 1.0
"""Logits by which the wrong class should lead; beyond it, only the distance to x counts."""
FIRST_PULL, PULLED = 100.0, 1.05
"""Weight of the mean square distance from the ball at first, and by how much a step raises it (lowers it, once in)."""
NEAR = 1e-4
"""Mean square distance from the ball that counts as in."""
FINALISTS = 3
"""Tries, of all runs and targets, that meet the defense itself."""
MOMENTUM = 0.75


@register_attack("latent")
class LatentSearch(Attack):
    """Adam on the code z towards wrong classes, drawn into the ball around x; then steps in pixels from there.

    A purifier that projects on what its decoder can make leaves such an image as it is (Athalye et al. 2018, the
    attack on Defense-GAN's manifold). The margin is a mean over codes around z, for the purifier's own search ends
    near z, not at it, and a multiplier raises the pull towards x as long as the image is out of the ball (both Jalal
    et al. 2017). What of the decoded image still lies outside is clipped.

    Parameters
    ----------
    steps, step_size:
        Of Adam.
    targets:
        The likeliest wrong classes are aimed at, each by itself.
    runs:
        From codes that ``encode`` gives anew.
    around, spread:
        How many codes around z each step looks at, and how far from z they are.
    pixel_steps:
        Steps that the images of the three best tries take up the defended classifier's margin.
    """

    needs = "decoder"
    iterates = True
    version = "2"

    def __init__(
        self,
        *,
        steps: int = 100,
        step_size: float = 0.05,
        targets: int = 3,
        runs: int = 1,
        around: int = 2,
        spread: float = 0.5,
        pixel_steps: int = 40,
    ) -> None:
        at_least_one(steps=steps, targets=targets, runs=runs, around=around)
        positive(step_size=step_size)
        not_negative(spread=spread, pixel_steps=pixel_steps)
        self.steps, self.step_size = steps, step_size
        self.targets, self.runs = targets, runs
        self.around, self.spread = around, spread
        self.pixel_steps = pixel_steps
        tries = runs * targets
        self.gradients_per_image = tries * steps + min(FINALISTS, tries) * pixel_steps

    def perturb(self, model: nn.Module, x: Tensor, y: Tensor, eps: float) -> Tensor:
        """Return each image's most wrong try, by draws made for this."""
        view, ball = cast(Latent, model), Ball(eps, self.norm)
        with torch.no_grad():
            wrong = view.classifier(x).scatter(1, y[:, None], -torch.inf).argsort(dim=1, descending=True)
        images, far = [], []
        for _ in range(self.runs):
            z = view.encode(x).detach()
            for target in wrong[:, :-1].T[: self.targets]:
                image, outside = self._searched(view, x, y, target, z, ball)
                images.append(image)
                far.append(outside)
        order = torch.stack(far).argsort(dim=0)[:FINALISTS]
        finalists = list(torch.stack(images)[order, torch.arange(len(x), device=x.device)])
        if self.pixel_steps:
            steps = Steps(ball, far_then_near(self.pixel_steps, eps), lead_up_to_enough, MOMENTUM)
            finalists += [steps.climbed(view, x, y, image) for image in finalists]
        return most_wrong(view, finalists, y)

    def _searched(
        self, view: Latent, x: Tensor, y: Tensor, target: Tensor, start: Tensor, ball: Ball
    ) -> tuple[Tensor, Tensor]:
        """Return the image of class ``target`` nearest to the ball, brought into it, and how far out it was.

        Where there is none, the last image, infinitely far.
        """
        z = start.clone().requires_grad_()
        optimizer = torch.optim.Adam([z], lr=self.step_size)
        found, nearest = x.clone(), x.new_full((len(x),), torch.inf)
        pull = x.new_full((len(x),), FIRST_PULL)
        for _ in range(self.steps):
            image = view.decode(z)
            ahead = torch.stack(
                [lead(view.classifier(each), y, target) for each in self._images_around(view, z, image)]
            )
            inside = ball.inside(x, image.detach())
            outside = (image - inside).square().mean(dim=(1, 2, 3))
            with torch.no_grad():
                better = (ahead > 0).all(dim=0) & (outside < nearest)
                found[better], nearest[better] = inside[better], outside[better]
                never = nearest == torch.inf
                found[never] = inside[never]
            loss = (CONFIDENCE - ahead).clamp(min=0).mean(dim=0) + pull * outside
            optimizer.zero_grad(set_to_none=True)
            (z.grad,) = torch.autograd.grad(loss.sum(), z)
            optimizer.step()
            pull = torch.where(outside.detach() > NEAR, pull * PULLED, pull / PULLED)
        return found.detach(), nearest

    def _images_around(self, view: Latent, z: Tensor, image: Tensor) -> list[Tensor]:
        """Return the image of z, and those of codes in random directions from it."""
        directions = [torch.randn_like(z) for _ in range(self.around - 1)]
        return [image, *(view.decode(z + self.spread * each / each.norm(dim=1, keepdim=True)) for each in directions)]


@register_attack("latent_l2")
class LatentSearchL2(LatentSearch):
    """``latent`` in an L2 ball, without steps in pixels.

    Athalye et al. 2018 state theirs as .005, the squared norm a pixel or the norm a pixel: 1.98 or 3.92 on MNIST.

    Parameters
    ----------
    bound:
        Radius of the ball, in pixel units over the whole image.
    steps, targets, runs:
        As of ``latent``.
    """

    norm = "l2"

    def __init__(self, *, bound: float = 1.98, steps: int = 100, targets: int = 3, runs: int = 1) -> None:
        super().__init__(steps=steps, targets=targets, runs=runs, pixel_steps=0)
        positive(bound=bound)
        self.bound = bound
