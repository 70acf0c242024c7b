"""What the command line decides about a training."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from purification_bench.benchmark.assets.weight_files import Storage
from purification_bench.defenses.spec import Scalar


@dataclass(frozen=True)
class Settings:
    """What the command line decides about one training."""

    epochs: int
    batch_size: int
    seed: int = 0
    patience: int | None = None
    """Stop when the validation score has not risen for so many epochs; None: never."""
    limit: int | None = None
    """Train on so many images; None: the whole training part."""
    validation: int | None = None
    """Select on so many validation images; None: on all."""
    precision: str = "float32"
    """``bfloat16`` trains, and attacks training images, under autocast (weights stay float32)."""
    snapshots: tuple[int, ...] = ()
    """Epochs whose weights are kept in the log as well."""
    storage: Storage = "whole"
    """How the weights are stored; what is judged, and shipped, is what is stored."""
    stop_after: int | None = None
    """End after so many epochs of a training that is laid out for ``epochs``, and keep its state; None: at the end."""
    adversary_steps: int | None = None
    """Adversarial training meets PGD of so many steps; None: as many as ``fitting.ADVERSARY_STEPS``."""
    start_from: str | None = None
    """Start from the weights that the defense has before this classifier; None: from random ones."""

    @property
    def last(self) -> int:
        """The number of the last epoch to do."""
        return min(self.epochs, self.stop_after or self.epochs)

    @property
    def recipe(self) -> dict[str, Scalar]:
        """What each epoch's training depends on."""
        recipe = asdict(self)
        del recipe["snapshots"], recipe["storage"], recipe["stop_after"]
        # Settings from before there were such are keyed as they were.
        for later in ("validation", "adversary_steps", "start_from"):
            if recipe[later] is None:
                del recipe[later]
        return recipe

    @property
    def flags(self) -> dict[str, Scalar]:
        """What the command line says to get these weights."""
        stored = {flag: self.storage == flag for flag in ("half", "int8")}
        return {**self.recipe, "stop_after": self.stop_after, **stored}
