"""What an attack is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

from torch import Tensor, nn

from purification_bench.attacks.pursuit import Pursuit
from purification_bench.attacks.threat import Needs, Norm
from purification_bench.defenses.spec import Spec

REACH = 2.5
"""The default step is REACH * eps / steps: the iterates can cross the ball and come back (Madry et al. 2018)."""


class Attack(ABC):
    """A way to perturb images within a norm ball. A subclass writes ``perturb``; ``guard.run`` is the only caller.

    Constructor options are keyword-only JSON scalars. Random numbers come from torch's default generator, which the
    guard seeds and restores. An attack of norm ``l2`` has no eps of its own: its option ``bound`` states the L2 radius;
    one of norm ``l0``, how many pixels may change.
    """

    norm: ClassVar[Norm] = "linf"
    needs: ClassVar[Needs] = "gradient"
    """What it asks of the model: it runs under the threats that give it."""
    iterates: ClassVar[bool] = False
    """It takes many steps along gradients (unless its option ``steps`` is 1): one step bounds little."""
    single_step: ClassVar[bool] = False
    """It takes one step along the gradient."""
    control: ClassVar[bool] = False
    """It knows nothing of the model: what it breaks, anything breaks."""
    probes_planted: ClassVar[bool] = False
    """The audit may also let it search for adversarial examples that are there by construction."""
    shares_sizes: ClassVar[bool] = False
    """All sizes come from one piece of work (``sweep``), which draws no random numbers of its own."""
    transfers: ClassVar[bool] = True
    """Its images mean something to models that it has not seen; False where it leaves unbroken images clean."""
    pursues: ClassVar[bool] = False
    """It can go on with the unbroken images alone (``pursue``), where nothing but the worst case is asked for."""
    leaves_box: ClassVar[bool] = False
    """Its images may leave [0, 1]: it runs under protocols without a box only."""
    version: ClassVar[str] = "1"
    """Raise it when the images that ``perturb`` gives change: stored sets are then computed anew."""
    gradients_per_image: int = 1
    """How many gradients of the model one image costs: what time estimates are made of."""
    bound: float | None = None
    """The L2 radius, or how many pixels, for attacks of norm ``l2`` or ``l0``."""
    spec: Spec

    def declared(self) -> dict[str, Any]:
        """Return what a result records of its attack: all that judging asks."""
        return {
            "needs": self.needs,
            "iterates": self.iterates and self.spec.options.get("steps") != 1,
            "single_step": self.single_step,
            "control": self.control,
            "transfers": self.transfers,
        }

    @abstractmethod
    def perturb(self, model: nn.Module, x: Tensor, y: Tensor, eps: float) -> Tensor:
        """Return x_adv for float32 images ``(N, C, H, W)`` in [0, 1] with labels ``(N,)``, within ``eps`` of x."""

    def sweep(self, model: nn.Module, x: Tensor, y: Tensor, sizes: Sequence[float]) -> list[Tensor]:
        """Return x_adv for all sizes at once: called where ``shares_sizes``."""
        return [self.perturb(model, x, y, eps) for eps in sizes]

    def pursue(self, pursuit: Pursuit, x: Tensor, y: Tensor, eps: float, start: Tensor | None) -> Tensor:
        """Return x_adv as ``perturb`` does, leaving each image alone once it is broken: called where ``pursues``.

        ``start``, if any, holds what a smaller size found.
        """
        raise NotImplementedError(f"{type(self).__name__} cannot leave single images alone")

    def check(self, eps: float) -> str | None:
        """Refuse settings that measure nothing (``UserError``), or return a warning about weak ones."""
        return None
