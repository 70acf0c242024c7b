"""From the text of a file to a row that may be relied on."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from purification_bench.leaderboard.results.declared import Declared
from purification_bench.leaderboard.results.errors import LaterSchemaError, ResultError
from purification_bench.leaderboard.results.stored import AccuracyIdentity, StoredResult

T = TypeVar("T")
SCHEMA = 4
"""Since 2 verdicts are compressed; since 3 a result declares what it is judged by; since 4 it may be partial."""
DECLARES = 3


def read_as(kind: type[T], text: str, schema: int, called: str) -> tuple[dict[str, Any], T]:
    """Return what a file holds, as JSON and as a struct whose every field has its type.

    Raises ``ResultError`` where it does not, ``LaterSchemaError`` where it has a later schema than this version's.
    """
    try:
        row = msgspec.json.decode(text)
        found = row.get("schema") if isinstance(row, dict) else None
        if isinstance(found, int) and found > schema:
            raise LaterSchemaError(f"a {called} has schema {found}, this version reads up to {schema}: update it")
        return row, msgspec.convert(row, kind)
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        raise ResultError(f"not a stored {called}: {error}") from error


def read_row(text: str) -> tuple[dict[str, Any], Declared | None]:
    """Return a stored result's JSON once every field has its type and the whole makes sense, and what it declares.

    Raises ``ResultError`` where it does not, ``LaterSchemaError`` where a later version wrote it.
    """
    row, stored = read_as(StoredResult, text, SCHEMA, "result")
    lacking = _lacking(stored)
    if lacking:
        raise ResultError(f"not a stored result: it has no {lacking}")
    return row, stored.declared


def _lacking(stored: StoredResult) -> str | None:
    """Name what a result must have beside what its fields say one by one; None where it has all."""
    identity, ok = stored.identity, stored.status == "ok"
    attack = identity.attack if isinstance(identity, AccuracyIdentity) else None
    if stored.declared is None:
        declares = stored.schema < DECLARES
    else:
        declares = all((part is None) == (attack is None) for part in (stored.declared.attack, stored.declared.threat))
    wanted = {
        "declaration of its attack": declares,
        "clean verdicts": not ok or not isinstance(identity, AccuracyIdentity) or stored.clean is not None,
        "adversarial verdicts": not ok or attack is None or stored.adversarial is not None,
        "latency": not ok or isinstance(identity, AccuracyIdentity) or stored.latency is not None,
        "reason for its error": ok or stored.error is not None,
    }
    return next((name for name, there in wanted.items() if not there), None)
