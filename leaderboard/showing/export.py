"""Results as one flat table: CSV, or Parquet where pyarrow is installed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from purification_bench.leaderboard.judging.aggregate import accuracy
from purification_bench.leaderboard.results.errors import StoreError
from purification_bench.leaderboard.results.result import Result
from purification_bench.leaderboard.showing import threats
from purification_bench.leaderboard.showing.tables.origin import trained_on
from purification_bench.leaderboard.showing.wording import written


def frame(results: Sequence[Result]) -> pd.DataFrame:
    """Return one row a cell: what was asked, what was measured with its 95 % interval, where it was computed."""
    return pd.DataFrame([_row(result) for result in results])


def write(results: Sequence[Result], path: Path) -> None:
    """Write the flat table; the file's ending says how. Raises ``StoreError`` for an ending or path it cannot write."""
    table = frame(results)
    try:
        if path.suffix == ".csv":
            table.to_csv(path, index=False)
        elif path.suffix == ".parquet":
            table.to_parquet(path, index=False)
        else:
            raise StoreError(f"cannot export to {str(path)!r}. Valid endings: .csv, .parquet")
    except ImportError:
        raise StoreError("Parquet needs pyarrow: pip install 'purification-bench[parquet]'") from None
    except OSError as error:
        raise StoreError(f"{str(path)!r} cannot be written: {error.strerror or error}") from error


def _row(result: Result) -> dict[str, Any]:
    return {**_asked(result), **_measured(result), **_details(result), **_computed(result)}


def _asked(result: Result) -> dict[str, Any]:
    return {
        "dataset": result.dataset,
        "classifier": result.classifier,
        "defense": result.defense,
        "attack": result.attack,
        "threat": threats.threat_name(result),
        "norm": result.threat_model.get("norm"),
        "eps": result.eps if result.kind == "accuracy" else None,
        "n": result.n,
    }


def _measured(result: Result) -> dict[str, Any]:
    estimate = accuracy(result) if result.kind == "accuracy" else None
    single = result.latency["single"]["end_to_end"] if result.latency else {}
    return {
        "accuracy": estimate.value if estimate else None,
        "low": estimate.low if estimate else None,
        "high": estimate.high if estimate else None,
        "seconds": sum(result.seconds.values()) if result.seconds else None,
        "latency_p50_ms": single.get("p50_ms"),
        "latency_p90_ms": single.get("p90_ms"),
        "images_per_second": result.latency["offline"]["images_per_second"] if result.latency else None,
        "kind": result.kind,
        "status": result.status,
        "error": result.reason or None,
    }


def _details(result: Result) -> dict[str, Any]:
    attack = result.identity.get("attack") or {}
    return {
        "protocol": result.protocol,
        "trained_on": written(trained_on(result)),
        "stochastic": result.facts.get("stochastic"),
        "knowledge": result.threat_model.get("knowledge"),
        "eot_samples": attack.get("eot_samples"),
        "stand_in": attack.get("stand_in"),
        "seed": result.seed,
        "draws": result.identity.get("draws"),
    }


def _computed(result: Result) -> dict[str, Any]:
    return {
        "device": result.environment["device"],
        "device_name": result.environment["device_name"],
        "torch": result.environment["versions"]["torch"],
        "created": result.created,
        "key": result.key,
    }
