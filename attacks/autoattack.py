"""AutoAttack, the reference ensemble, from its authors' package: torchattacks' class of that name is another."""

from __future__ import annotations

import logging
from importlib.util import find_spec

import torch
from torch import Tensor, nn

from purification_bench.attacks.base import Attack
from purification_bench.attacks.expectation import Tied, copies
from purification_bench.attacks.registry import register_attack
from purification_bench.defenses.errors import UserError

TARGETS = 9
"""Wrong classes that its targeted parts aim at, or all there are."""


@register_attack("autoattack")
class AutoAttack(Attack):
    """The parameter-free ensemble of Croce and Hein (2020): APGD-CE, APGD-T, FAB-T and Square, 5,000 queries.

    Where gradients are averaged over draws it is their randomised version: APGD on cross-entropy and on the
    difference-of-logits ratio, both under that expectation. Images that it does not break stay clean, so its sets
    say nothing about other models. Needs the extra ``autoattack``.
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
        whole = model.model if isinstance(model, Tied) else model
        n = len(x) // samples
        x, y = x[:n], y[:n]
        with torch.no_grad():
            targets = min(TARGETS, whole(x[:1]).shape[1] - 1)
        seed = int(torch.randint(2**31, ()))
        version = "standard" if samples == 1 else "rand"
        ensemble = Reference(whole, norm="Linf", eps=eps, seed=seed, device=x.device, version=version)
        ensemble.verbose = False
        ensemble.apgd_targeted.n_target_classes = ensemble.fab.n_target_classes = targets
        if samples > 1:
            ensemble.apgd.eot_iter = samples
        found: Tensor = ensemble.run_standard_evaluation(x, y, batch_size=n)[0]
        return found
