"""How far a training is: the state that it resumes from, and its log."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from purification_bench.leaderboard.results.atomic import replacing


@dataclass
class Best:
    """The epoch that is kept: its weights, and its metrics with its ``score`` and number (``epoch``)."""

    weights: dict[str, Tensor]
    metrics: dict[str, float]


@dataclass
class Progress:
    """The epochs that are over, and the best of them; ``folder`` holds the state while training lasts, and the log."""

    folder: Path
    history: list[dict[str, float]] = field(default_factory=list)
    best: Best | None = None

    def resume(self, parts: Mapping[str, Any]) -> None:
        """Restore every part's state, and the epochs that are over, where some are."""
        if not self._state.is_file():
            return
        state = torch.load(self._state, map_location="cpu", weights_only=True)
        for name, part in parts.items():
            part.load_state_dict(state["parts"][name])
        self.history = state["history"]
        if state["best"]:
            self.best = Best(state["best"]["model"], state["best"]["metrics"])

    def add(self, metrics: Mapping[str, float], model: Any, *, eligible: bool) -> None:
        """Count one more epoch; it is the best if it is ``eligible`` and none before scored as high."""
        row = {**metrics, "epoch": float(len(self.history) + 1)}
        self.history.append(row)
        if eligible and (self.best is None or row["score"] > self.best.metrics["score"]):
            weights = {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}
            self.best = Best(weights, row)

    def save(self, parts: Mapping[str, Any]) -> None:
        """Write the state and the history."""
        with (self.folder / "history.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, ["epoch", *(name for name in self.history[0] if name != "epoch")])
            writer.writeheader()
            writer.writerows(self.history)
        best = {"model": self.best.weights, "metrics": self.best.metrics} if self.best else {}
        states = {name: part.state_dict() for name, part in parts.items()}
        with replacing(self._state) as partial:
            torch.save({"parts": states, "history": self.history, "best": best}, partial)

    def save_snapshot(self, model: Any) -> None:
        """Keep the weights of the epoch that is over in the log."""
        weights = {name: value.contiguous().cpu() for name, value in model.state_dict().items()}
        save_file(weights, self.folder / f"epoch-{len(self.history):04d}.safetensors")

    def epochs_since_best(self) -> int:
        """Return how many epochs have passed without a better score."""
        return len(self.history) - int(self.best.metrics["epoch"]) if self.best else 0

    def discard(self) -> None:
        """Remove the state: the training is over. The log stays."""
        self._state.unlink(missing_ok=True)

    @property
    def _state(self) -> Path:
        return self.folder / "state.pt"
