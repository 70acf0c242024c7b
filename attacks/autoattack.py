"""AutoAttack, the reference ensemble, from its authors' package: torchattacks' class of that name is another."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from purification_bench.attacks.base import Attack
from purification_bench.attacks.expectation import copies, first_copy, is_random
from purification_bench.attacks.queried import Averaged
from purification_bench.attacks.registry import register_attack
from purification_bench.attacks.tries import most_wrong
from purification_bench.defenses.errors import UserError

TARGETS = 9
"""Wrong classes that its targeted parts aim at, or all there are."""
QUERIES = 5000
"""Of Square; of a random model each takes as many answers as gradients are averaged over."""


@register_attack("autoattack")
class AutoAttack(Attack):
    """The parameter-free ensemble of Croce and Hein (2020): APGD-CE, APGD-T, FAB-T and Square.

    Where the model is random, or gradients are averaged over draws, it is their randomised version, APGD on
    cross-entropy and on the difference-of-logits ratio under that expectation, and Square on mean logits. Theirs takes
    an image for broken after one answer; here each part gives its image, and further draws say which is the most wrong.
    Of a model that is not random, images that it does not break stay clean, so its sets say nothing about other models.
    Needs the extra ``autoattack``.
    """

    gradients_per_image = 101 + 2 * TARGETS * 101
    iterates = True
    transfers = False

    def check(self, eps: float) -> str | None:
        """Refuse to be planned where its package is missing."""
        if find_spec("pyautoattack") is None:
            raise UserError("autoattack needs the package pyautoattack: pip install 'purification-bench[autoattack]'")
        return None

    def perturb(self, model: nn.Module, x: Tensor, y: Tensor, eps: float) -> Tensor:
        """Run the ensemble on images and labels; of copies tied for an expectation, on the first."""
        from pyautoattack import AutoAttack as Reference

        logging.getLogger("auto-attack").setLevel(logging.ERROR)
        samples = copies(model)
        whole, x, y = first_copy(model, x, y)
        random = samples > 1 or is_random(whole)
        seed, version = int(torch.randint(2**31, ())), "rand" if random else "standard"
        ensemble = Reference(whole, norm="Linf", eps=eps, seed=seed, device=x.device, version=version)
        ensemble.verbose = False
        ensemble.square.n_queries = QUERIES
        if random:
            return most_wrong(whole, list(_tries(ensemble, Averaged(whole, samples), x, y, samples)), y)
        with torch.no_grad():
            targets = min(TARGETS, whole(x[:1]).shape[1] - 1)
        ensemble.apgd_targeted.n_target_classes = ensemble.fab.n_target_classes = targets
        found: Tensor = ensemble.run_standard_evaluation(x, y, batch_size=len(x))[0]
        return found


def _tries(ensemble: Any, mean: nn.Module, x: Tensor, y: Tensor, samples: int) -> Iterator[Tensor]:
    """Yield what each part of the randomised version finds."""
    ensemble.apgd.eot_iter = samples
    for loss in ("ce", "dlr"):
        ensemble.apgd.loss = loss
        x_adv: Tensor = ensemble.apgd.perturb(x, y, best_loss=True)
        yield x_adv.detach()
    ensemble.square.predict = mean
    ensemble.square.init_hyperparam(x)
    with torch.no_grad():
        yield ensemble.square.attack_single_run(x, y)[1].detach()
