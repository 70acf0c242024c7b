"""What certifying a smoothed defense gave, image by image, and its JSON form."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from purification_bench.leaderboard.results.canonical import digest
from purification_bench.leaderboard.results.errors import ResultError
from purification_bench.leaderboard.results.reading import read_as
from purification_bench.leaderboard.results.stored import AtLeastOne, Count

SCHEMA: Literal[1] = 1


class Certificate(msgspec.Struct, kw_only=True):
    """The votes of a defense's draws on clean images: for each, one class was chosen, and counted in other draws."""

    schema: Literal[1] = SCHEMA
    identity: dict[str, Any]
    """What was certified, and how: the file is named by its digest."""
    dataset: str
    classifier: str
    defense: str
    seed: int
    sigma: Annotated[float, msgspec.Meta(gt=0)]
    """Standard deviation of the noise that the defense says it begins with, in pixel units."""
    samples: AtLeastOne
    """Draws that were counted for each image."""
    right: list[bool]
    """Whether the class that was chosen is the image's."""
    counts: list[Count]
    """In how many of the draws the classifier saw that class."""
    seconds: float
    environment: dict[str, Any]
    """What it was computed on."""
    created: str

    @property
    def key(self) -> str:
        """The digest of the identity."""
        return digest(self.identity)

    def dumps(self) -> str:
        """Return the JSON text that is stored."""
        return msgspec.json.format(msgspec.json.encode(self), indent=1).decode() + "\n"

    @classmethod
    def loads(cls, text: str) -> Certificate:
        """Read a stored certificate.

        Raises ``ResultError`` where it cannot be, ``LaterSchemaError`` for one of a later version.
        """
        _, read = read_as(cls, text, SCHEMA, "certificate")
        if len(read.right) != len(read.counts) or not read.counts or max(read.counts) > read.samples:
            raise ResultError("not a stored certificate: its counts do not fit")
        return read
