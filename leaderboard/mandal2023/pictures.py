"""The paper's figures that show its data or its attacks: which there are, and what each is drawn from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from purification_bench.leaderboard.mandal2023.measured import DATASETS, UNDEFENDED, Measured
from purification_bench.leaderboard.mandal2023.published import AUTO_ENCODERS, of_table, sizes
from purification_bench.leaderboard.results.store import Store

if TYPE_CHECKING:
    from purification_bench.leaderboard.mandal2023.figures import Examples


@dataclass(frozen=True)
class Figure:
    """A figure of the paper: the table whose cells hold its images, and what it shows."""

    table: str
    shows: str


FIGURES: Mapping[str, Figure] = {
    "2": Figure("1a", "the datasets"),
    "3": Figure("1a", "FGSM at every size, and what it adds (grey: nothing)"),
    "4": Figure("1b", "PGD at every size, and what it adds (grey: nothing)"),
    "6": Figure("2", "attacked, reconstructed and original images"),
}
"""By its number in the paper."""


@dataclass(frozen=True)
class Kept:
    """The example images of a store's results."""

    store: Store
    measured: Measured

    def of(self, dataset: str, defense: str, attack: str, eps: float) -> Examples | None:
        """Return the images of one attacked cell; None where it was not run, or keeps none."""
        result = self.measured.cell(dataset, defense, attack, eps)
        return self.store.examples_of(result) if result is not None and result.attack is not None else None

    def by_size(self, attack: str, at: Sequence[float]) -> dict[str, dict[float, Examples | None]]:
        """Return the images of the classifier alone under one attack, by dataset and size."""
        return {dataset: {eps: self.of(dataset, UNDEFENDED, attack, eps) for eps in at} for dataset in DATASETS}

    def purified(self) -> dict[tuple[str, str, float], Examples | None]:
        """Return the images of the paper's auto-encoders, each under the attack that it was trained on."""
        trained = {(AUTO_ENCODERS[number.attack], number.attack, number.eps) for number in of_table("2")}
        return {
            (dataset, attack, eps): self.of(dataset, label, attack, eps)
            for dataset in DATASETS
            for label, attack, eps in sorted(trained)
        }


def draw(store: Store, measured: Measured, folder: Path) -> dict[str, Path]:
    """Draw the figures that there are images for; return their files in ``folder``, by number."""
    from purification_bench.leaderboard.mandal2023 import figures

    kept, smallest = Kept(store, measured), sizes("1a")[0]
    paths = {number: folder / f"figure-{number}.png" for number in FIGURES}
    first = {dataset: kept.of(dataset, UNDEFENDED, "fgsm", smallest) for dataset in DATASETS}
    drawn = {
        "2": figures.samples(first, paths["2"]),
        "3": figures.sizes(kept.by_size("fgsm", sizes("1a")), paths["3"]),
        "4": figures.sizes(kept.by_size("pgd", sizes("1b")), paths["4"]),
        "6": figures.reconstructions(kept.purified(), paths["6"]),
    }
    return {number: path for number, path in drawn.items() if path is not None}
