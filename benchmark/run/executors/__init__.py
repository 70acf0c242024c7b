"""Where units are computed: one small file for each kind of place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from purification_bench.benchmark.run.made import Made
from purification_bench.benchmark.run.units import Unit


class Executor(Protocol):
    """Units in, results out. The driver alone writes."""

    def run(self, units: Sequence[Unit]) -> Iterator[Made]:
        """Yield what each unit gives, as soon as it is there."""
