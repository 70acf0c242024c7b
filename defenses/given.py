"""A live object, or a function on images, as a defense that the registry knows for a while."""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from purification_bench.defenses.base import Defense
from purification_bench.defenses.errors import UserError
from purification_bench.defenses.plain import DECLARED, Forwarded, Holder
from purification_bench.defenses.registry import DEFENSES
from purification_bench.defenses.sources import digest_of_code
from purification_bench.defenses.spec import NAME, RULE

Purifier: TypeAlias = Callable[[Tensor], Tensor]
UNNAMED = "purifier"
REPEATS = 1e-4
"""How far two passes of a deterministic purifier may differ."""
KEPT_OUT = ("fit", "inference_options", "shown_options", "build", "weights_of")
"""What a live object needs no more: it is trained, it has its options, and it is built in a way of its own."""


@contextlib.contextmanager
def known_as(given: Any, shape: tuple[int, int, int], name: str | None = None) -> Iterator[str]:
    """Let the registry know ``given`` under a name for a while; the context gives the name.

    Parameters
    ----------
    given:
        A ``Defense``, any object with ``purify``, or a callable: images ``(N, C, H, W)`` in [0, 1] to their like. It
        must be ready to purify; ``build`` is called where a ``Defense`` has no ``fit``. A callable declares nothing:
        it is tried on two images of noise, to see whether it is random and has a gradient.
    shape:
        (C, H, W) of the images.
    name:
        What its row is called: its function's or its class's name, if none is given.

    Raises
    ------
    UserError
        If it cannot purify, or a defense has the name already.
    """
    label = name or _name_of(given)
    if re.fullmatch(NAME, label) is None:
        raise UserError(f"cannot call a defense {label!r}: {RULE}")
    with DEFENSES.lent(label, _class_of(given, shape)):
        yield label


def as_defense(given: Any, shape: tuple[int, int, int]) -> Defense:
    """Return an object with ``purify``, or a callable, as a ``Defense``; ``shape`` is (C, H, W) of the images."""
    return _class_of(given, shape)()


def _name_of(given: Any) -> str:
    name: str = getattr(given, "__name__", type(given).__name__)
    return UNNAMED if name == "<lambda>" else name


def _class_of(given: Any, shape: tuple[int, int, int]) -> type[Defense]:
    """Return a defense class without options, each object of which holds ``given``."""
    if isinstance(given, type):
        raise UserError(f"{given.__qualname__} is a class: give an object of it, {given.__qualname__}()")
    if not hasattr(given, "purify") and not callable(given):
        raise UserError(f"a defense is a name, an object with purify, or a function on images, not {given!r}")
    held = given if hasattr(given, "purify") else _Called(given, torch.rand(2, *shape))

    def construct(self: Holder) -> None:
        Defense.__init__(self)
        self.held = held

    def build(self: Holder, shape: tuple[int, int, int], num_classes: int) -> None:
        if isinstance(held, Defense) and type(held).fit is Defense.fit:
            held.build(shape, num_classes)

    body: dict[str, Any] = {n: Forwarded(n) for n in DECLARED if n not in KEPT_OUT and hasattr(held, n)}
    body |= {"plain": type(held), "__init__": construct, "build": build, "__doc__": given.__doc__}
    body |= {"source_digest": _digest(given)}
    return type(type(held).__name__, (Holder,), body)


class _Called:
    """A callable's ``purify``, and what two passes over ``x`` show of it."""

    stochastic = False
    differentiable = True

    def __init__(self, call: Purifier, x: Tensor) -> None:
        self.purify = call
        with contextlib.suppress(Exception):  # told by its rows, when it is judged
            first, second = call(x.clone().requires_grad_()), call(x.clone())
            self.stochastic = not torch.allclose(first, second, atol=REPEATS)
            self.differentiable = first.requires_grad


def _digest(given: Any) -> str:
    """Return the SHA-256 of an object's code and weights."""
    digest = hashlib.sha256(digest_of_code(given).encode())
    for name, tensor in sorted(given.state_dict().items()) if isinstance(given, nn.Module) else ():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
