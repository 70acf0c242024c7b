"""Attacks that only query the defended classifier: its logits, or no more than its decision. They take no gradient."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from purification_bench.attacks.base import REACH, Attack
from purification_bench.attacks.expectation import is_random
from purification_bench.attacks.margin import margin
from purification_bench.attacks.queried import Frozen
from purification_bench.attacks.registry import register_attack
from purification_bench.defenses.errors import at_least_one, positive

FIRST_STEP = 100
"""Queries for the direction of the first step of HopSkipJump; that of step k takes sqrt(k) times as many ..."""
SEARCHES = 30
"""... and about so many more for how far to go, and for the way back to the boundary."""


@register_attack("square")
class Square(Attack):
    """Random search by squares at the corners of the ball (Andriushchenko et al. 2020), on the margin.

    Of a random model no single answer is taken for success: it spends all its queries.
    """

    needs = "queries"
    version = "2"
    gradients_per_image = 0

    def __init__(self, *, queries: int = 5000) -> None:
        at_least_one(queries=queries)
        self.queries = queries

    def perturb(self, model: nn.Module, x: Tensor, y: Tensor, eps: float) -> Tensor:
        """Search until an image is misclassified or its queries are spent; the lowest margin found is kept."""
        from purification_bench.attacks import inner

        search = inner.UnendingSquare if is_random(model) else inner.Square
        attack = search(model, eps=eps, n_queries=self.queries)
        attack.set_device(x.device)
        attack.init_hyperparam(x)
        _, x_adv = attack.attack_single_run(x, y)
        found: Tensor = x_adv
        return found


@register_attack("spsa")
class SPSA(Attack):
    """Sign steps along gradients estimated by simultaneous random perturbations (Uesato et al. 2018)."""

    needs = "queries"
    iterates = True
    gradients_per_image = 0

    def __init__(self, *, steps: int = 40, samples: int = 64, delta: float = 0.01) -> None:
        at_least_one(steps=steps, samples=samples)
        positive(delta=delta)
        self.steps, self.samples, self.delta = steps, samples, delta
        self.queries = 2 * samples * steps

    def perturb(self, model: nn.Module, x: Tensor, y: Tensor, eps: float) -> Tensor:
        """Climb the margin of the likeliest wrong class."""
        x_adv, step = x.clone(), REACH * eps / self.steps
        with torch.no_grad():
            for _ in range(self.steps):
                direction = sum((self._difference(model, x_adv, y) for _ in range(self.samples)), torch.zeros_like(x))
                x_adv = x + (x_adv + step * direction.sign() - x).clamp(-eps, eps)
                x_adv = x_adv.clamp(0, 1)
        return x_adv

    def _difference(self, model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        signs = torch.randint_like(x, 2) * 2 - 1
        ahead, behind = (margin(model((x + s * self.delta * signs).clamp(0, 1)), y) for s in (1, -1))
        return (ahead - behind)[:, None, None, None] * signs


@register_attack("hopskipjump")
class HopSkipJump(Attack):
    """Walk along the decision boundary towards x, seeing decisions only (Chen et al. 2020), over foolbox.

    It starts from images of the batch that the model takes for another class than x's, and searches the nearest
    misclassified image; where that is beyond the ball, it is clipped to it. ``queries`` is what its steps are planned
    to take of each image; the true number is counted. Of a random model it sees one draw, held fixed: with decisions
    that flicker there is no boundary to walk along. Another draw has another boundary, so what it finds there is moved
    on, to the edge of the ball.
    """

    needs = "queries"
    version = "2"
    gradients_per_image = 0

    def __init__(self, *, queries: int = 2500) -> None:
        at_least_one(queries=queries)
        self.queries = queries

    @property
    def steps(self) -> int:
        """How many steps the queries suffice for; each takes more than the one before."""
        steps, spent = 0, SEARCHES
        while spent <= self.queries:
            steps += 1
            spent += round(FIRST_STEP * math.sqrt(steps)) + SEARCHES
        return max(1, steps - 1)

    def perturb(self, model: nn.Module, x: Tensor, y: Tensor, eps: float) -> Tensor:
        """Search; an image that is misclassified as it is, or for which no start is found, stays as it is."""
        from foolbox import Misclassification, PyTorchModel
        from foolbox.attacks import HopSkipJumpAttack

        held = Frozen(model, int(torch.randint(2**31, ()))).eval()
        rows, starts = _other_classes(held, x, y)
        found = x.clone()
        if len(rows):
            walk = HopSkipJumpAttack(steps=self.steps, initial_gradient_eval_steps=FIRST_STEP, constraint="linf")
            asked = PyTorchModel(held, bounds=(0, 1), device=x.device)
            nearest = walk.run(asked, x[rows], Misclassification(y[rows]), starting_points=starts)
            delta = nearest - x[rows]
            if is_random(model):
                length = delta.flatten(1).abs().amax(dim=1).clamp_min(torch.finfo(x.dtype).tiny)
                delta = delta * (eps / length).clamp_min(1)[:, None, None, None]
            found[rows] = x[rows] + delta.clamp(-eps, eps)
        return found.clamp(0, 1)


@torch.no_grad()
def _other_classes(model: nn.Module, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Return the rows of images that the model gets right, and for each the nearest of the batch it calls another."""
    predicted = model(x).argmax(dim=1)
    distances = torch.cdist(x.flatten(1), x.flatten(1))
    distances[predicted[None] == y[:, None]] = torch.inf
    nearest = distances.argmin(dim=1)
    rows = ((predicted == y) & distances.isfinite().any(dim=1)).nonzero()[:, 0]
    while len(rows):  # in another batch, a stochastic model draws other noise
        wrong = model(x[nearest[rows]]).argmax(dim=1) != y[rows]
        if bool(wrong.all()):
            break
        rows = rows[wrong]
    return rows, x[nearest[rows]]
