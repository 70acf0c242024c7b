"""What the tests of chains of steps share."""

from __future__ import annotations

import torch

from purification_bench.defenses import stepwise


def gradients(defense, x, monkeypatch):
    """The gradient of a random chain as it is taken, and plain autograd's, under the same draws."""

    def taken():
        leaf = x.clone().requires_grad_()
        torch.manual_seed(1)
        return torch.autograd.grad(defense.purify(leaf).square().sum(), leaf)[0]

    checkpointed = taken()
    monkeypatch.setattr(stepwise, "checkpoint", lambda function, *args, **_: function(*args))
    return checkpointed, taken()
