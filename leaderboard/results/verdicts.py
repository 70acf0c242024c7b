"""Which images were classified right, how often: packed bits and counts."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from purification_bench.leaderboard.results.errors import ResultError

Counts = NDArray[np.uint8]


@dataclass(frozen=True)
class Verdicts:
    """How often each image was classified right: counts ``(n,)`` out of ``draws``.

    A stochastic defense has two independent sets of draws: the worst attack for an image is chosen by ``chosen`` and
    its accuracy read from ``reported``, because a minimum over noisy means is biased low. A deterministic defense has
    one draw, and the two are the same bits.
    """

    draws: int
    chosen: Counts
    reported: Counts
    before: Counts | None = None
    """Images ``(n,)`` that this attack passed over, as earlier ones had broken them, or its file does not hold them;
    None: it met all.

    Their counts are 0 and mean nothing.
    """

    @property
    def broken(self) -> NDArray[np.bool_]:
        """Images ``(n,)`` that no draw gets right; none of those that were passed over."""
        wrong: NDArray[np.bool_] = (self.chosen == 0) & (self.reported == 0)
        return wrong if self.before is None else wrong & (self.before == 0)

    @property
    def means(self) -> NDArray[np.float64]:
        """Each image's share of reported draws that are right, ``(n,)``."""
        return np.asarray(self.reported / self.draws, dtype=np.float64)

    def among(self, judged: NDArray[np.bool_]) -> Verdicts:
        """Return these verdicts, of the images that were ``judged`` ``(n,)``, among those that were passed over."""
        chosen, reported = np.zeros((2, len(judged)), dtype=np.uint8)
        chosen[judged], reported[judged] = self.chosen, self.reported
        return Verdicts(self.draws, chosen, reported, (~judged).astype(np.uint8))

    def to_json(self) -> dict[str, Any]:
        """Pack bits where there was but one draw, bytes for two sets of draws."""
        if self.draws == 1 and np.array_equal(self.chosen, self.reported):
            counts = {"bits": _pack(np.packbits(self.reported))}
        else:
            counts = {"chosen": _pack(self.chosen), "reported": _pack(self.reported)}
        before = {} if self.before is None else {"before": _pack(np.packbits(self.before))}
        return {"draws": self.draws, "coding": "zlib", **counts, **before}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any], n: int) -> Verdicts:
        """Unpack the verdicts of ``n`` images; raise ``ResultError`` where they are not that."""
        try:
            verdicts = cls._from_bits(stored, n) if "bits" in stored else cls._from_counts(stored)
        except (ValueError, KeyError, zlib.error) as error:
            raise ResultError(f"verdicts that cannot be unpacked: {type(error).__name__}: {error}") from error
        for counts in (verdicts.chosen, verdicts.reported):
            if len(counts) != n:
                raise ResultError(f"verdicts of {len(counts)} images where {n} are meant")
            if len(counts) and int(counts.max()) > verdicts.draws:
                raise ResultError(f"verdicts of {counts.max()} draws where {verdicts.draws} are meant")
        return verdicts if "before" not in stored else replace(verdicts, before=_bits(stored, "before", n))

    @classmethod
    def _from_bits(cls, stored: Mapping[str, Any], n: int) -> Verdicts:
        bits = _bits(stored, "bits", n)
        return cls(1, bits, bits)

    @classmethod
    def _from_counts(cls, stored: Mapping[str, Any]) -> Verdicts:
        chosen, reported = (_unpack(stored[name], stored.get("coding")) for name in ("chosen", "reported"))
        return cls(int(stored["draws"]), chosen, reported)


def _bits(stored: Mapping[str, Any], name: str, n: int) -> Counts:
    packed = _unpack(stored[name], stored.get("coding"))
    if len(packed) != -(-n // 8):
        raise ResultError(f"{len(packed)} bytes for {n} images")
    return np.unpackbits(packed)[:n]


def _pack(values: NDArray[np.uint8]) -> str:
    return base64.b64encode(zlib.compress(values.astype(np.uint8).tobytes(), 9)).decode("ascii")


def _unpack(text: str, coding: str | None) -> Counts:
    stored = base64.b64decode(text, validate=True)
    return np.frombuffer(zlib.decompress(stored) if coding == "zlib" else stored, dtype=np.uint8)
