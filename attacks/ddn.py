"""The L2 attack that decouples direction and norm."""

from __future__ import annotations

from torch import Tensor, nn

from purification_bench.attacks.ball import Ball, lengths
from purification_bench.attacks.base import Attack
from purification_bench.attacks.expectation import is_random
from purification_bench.attacks.registry import register_attack
from purification_bench.defenses.errors import at_least_one, positive


@register_attack("ddn")
class DDN(Attack):
    """Steps along the gradient in a ball that shrinks once an image is broken, and grows until then, over foolbox.

    It searches the nearest misclassified image (Rony et al. 2019); where that is beyond the bound, it is drawn in. An
    image that it does not break stays clean. Of a random model, where one draw was wrong, others may be right: what it
    finds there is moved on, to the edge of the ball.

    Parameters
    ----------
    bound:
        The L2 radius, in pixel units over the whole image.
    steps:
        Of the search.
    """

    norm = "l2"
    iterates = True
    transfers = False

    def __init__(self, *, bound: float = 1.5, steps: int = 100) -> None:
        positive(bound=bound)
        at_least_one(steps=steps)
        self.bound, self.steps = bound, steps
        self.gradients_per_image = steps

    def perturb(self, model: nn.Module, x: Tensor, y: Tensor, eps: float) -> Tensor:
        """Search from the images as they are."""
        from foolbox import Misclassification, PyTorchModel
        from foolbox.attacks import DDNAttack

        asked = PyTorchModel(model.eval(), bounds=(0, 1), device=x.device)
        found = DDNAttack(steps=self.steps, init_epsilon=eps).run(asked, x, Misclassification(y))
        if is_random(model):
            found = x + eps * (found - x) / lengths(found - x)
        return Ball(eps, self.norm).inside(x, found)
