"""The one way an attack is run: what it may find, and what must hold of what it leaves behind.

torchattacks switches train/eval flags, reseeds the global generator, prints, accepts images outside the box, and
leaves gradients on the parameters. All of that is held off here, once, for every attack.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from purification_bench.attacks.base import Attack
from purification_bench.attacks.expectation import Tied, shares_draws
from purification_bench.attacks.pursuit import Pursuit
from purification_bench.attacks.seeding import seeded

TOLERANCE = {"linf": 1e-6, "l2": 1e-4, "l0": 0.0}
"""Rounding allowed beyond the norm bound, in its units."""


class AttackError(RuntimeError):
    """An attack was given, or gave, images that break its contract."""


def run(
    attack: Attack,
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    sizes: Sequence[float],
    seeds: Sequence[int],
    samples: int = 1,
    box: bool = True,
) -> list[Tensor]:
    """Run ``attack`` on ``model`` for each size and return the checked x_adv of each.

    Parameters
    ----------
    x, y:
        float32 images ``(N, C, H, W)`` in [0, 1] and int64 labels ``(N,)``, on one device.
    sizes:
        The eps of each set, in pixel units (for an L2 attack its one bound).
    seeds:
        One for each size: torch's default generators are seeded with it for that size only, so that a set does not
        depend on which others are made beside it; the caller's random state is left as it was.
    samples:
        Every gradient is the mean over so many draws of the model's own randomness.
    box:
        x_adv must lie in [0, 1], as x does.
    """
    _check_input(x, y)
    with _held_off(model, x):
        seen = (model, x, y) if samples == 1 else _tied(model, samples, seeds[0], x, y)
        with _no_gradient_told():
            attacked = _at_each_size(attack, *seen, sizes, seeds)
    of_first_copy = (x_adv.detach()[: len(x)] for x_adv in attacked)
    return [_checked(attack, x, x_adv, eps, box) for x_adv, eps in zip(of_first_copy, sizes, strict=True)]


def pursue(
    attack: Attack, pursuit: Pursuit, x: Tensor, y: Tensor, eps: float, seed: int, start: Tensor | None = None
) -> Tensor:
    """Run an attack that ``pursues`` and return its checked x_adv.

    Parameters
    ----------
    x, y, eps, seed:
        As for ``run``, of one size.
    start:
        What a smaller size found, if anything.
    """
    _check_input(x, y)
    with _held_off(pursuit.model, x), seeded(seed, x.device), _no_gradient_told():
        x_adv = attack.pursue(pursuit, x.clone(), y.clone(), eps, start)
    return _checked(attack, x, x_adv.detach(), eps, box=True)


@contextlib.contextmanager
def _held_off(model: nn.Module, x: Tensor) -> Iterator[None]:
    """Hold off what attacks may do to a model and to the terminal."""
    quiet = contextlib.redirect_stdout(io.StringIO())
    with eval_mode(model), quiet, torch.enable_grad(), torch.autocast(x.device.type, enabled=False):
        yield


@contextlib.contextmanager
def _no_gradient_told() -> Iterator[None]:
    """Say of a model that gives no gradient what its author can do."""
    try:
        yield
    except RuntimeError as error:
        if "does not require grad" not in str(error):
            raise
        raise AttackError("purify gives no gradient: a defense without one declares differentiable = False") from error


def _at_each_size(
    attack: Attack, model: nn.Module, x: Tensor, y: Tensor, sizes: Sequence[float], seeds: Sequence[int]
) -> list[Tensor]:
    if attack.shares_sizes:
        with seeded(seeds[0], x.device):
            return attack.sweep(model, x.clone(), y.clone(), sizes)
    return [_seeded_perturb(attack, model, x, y, *each) for each in zip(sizes, seeds, strict=True)]


def _tied(model: nn.Module, samples: int, seed: int, x: Tensor, y: Tensor) -> tuple[nn.Module, Tensor, Tensor]:
    with seeded(seed, x.device):
        return Tied(model, samples, apart=shares_draws(model, x)).stacked(x, y)


def _seeded_perturb(attack: Attack, model: nn.Module, x: Tensor, y: Tensor, eps: float, seed: int) -> Tensor:
    with seeded(seed, x.device):
        return attack.perturb(model, x.clone(), y.clone(), eps)


@contextlib.contextmanager
def eval_mode(model: nn.Module) -> Iterator[None]:
    """Put ``model`` in eval mode with frozen parameters; afterwards every submodule and parameter is as it was."""
    training = {module: module.training for module in model.modules()}
    trainable = {parameter: parameter.requires_grad for parameter in model.parameters()}
    model.eval()
    model.requires_grad_(False)
    try:
        yield
    finally:
        for module, flag in training.items():
            module.training = flag
        for parameter, flag in trainable.items():
            parameter.requires_grad_(flag)


def _check_input(x: Tensor, y: Tensor) -> None:
    if x.ndim != 4 or x.dtype != torch.float32:
        raise AttackError(f"images must be float32 (N, C, H, W), not {x.dtype} {tuple(x.shape)}")
    if y.shape != x.shape[:1] or y.dtype != torch.int64:
        raise AttackError(f"labels must be int64 ({len(x)},), not {y.dtype} {tuple(y.shape)}")
    if not bool(torch.isfinite(x).all()) or float(x.min()) < 0 or float(x.max()) > 1:
        raise AttackError("images must lie in [0, 1]")


def _checked(attack: Attack, x: Tensor, x_adv: Tensor, eps: float, box: bool) -> Tensor:
    name = type(attack).__name__
    if x_adv.shape != x.shape or x_adv.dtype != x.dtype:
        raise AttackError(f"{name} returned {x_adv.dtype} {tuple(x_adv.shape)} for {x.dtype} {tuple(x.shape)}")
    if not bool(torch.isfinite(x_adv).all()):
        raise AttackError(f"{name} returned values that are not finite")
    if box and (float(x_adv.min()) < 0 or float(x_adv.max()) > 1):
        raise AttackError(f"{name} left the box: [{float(x_adv.min()):g}, {float(x_adv.max()):g}]")
    largest = float(distances(attack.norm, x, x_adv).max())
    if not largest <= eps + TOLERANCE[attack.norm]:
        raise AttackError(f"{name} left the {attack.norm} ball: distance {largest:g} where {eps:g} is allowed")
    return x_adv.contiguous()


def distances(norm: str, x: Tensor, x_adv: Tensor) -> Tensor:
    """Return each image's distance ``(N,)`` in ``norm``: in pixel units, ``l0`` in pixels."""
    delta = x_adv - x
    if norm == "l0":
        return (delta != 0).any(dim=1).flatten(1).sum(dim=1).float()
    return delta.flatten(1).abs().amax(dim=1) if norm == "linf" else delta.flatten(1).norm(dim=1)
