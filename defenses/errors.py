"""The errors that are the user's to mend: the command line prints them as one line and exits with status 2."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """A value that cannot be used; the message names it and the valid choices."""


def at_least_one(**counts: int | None) -> None:
    """Raise ``ValueError`` for the first count below 1, by its option's name; None is an option that is not used."""
    for name, count in counts.items():
        if count is not None and count < 1:
            raise ValueError(f"{name} must be at least 1, not {count}")


def positive(**values: float | None) -> None:
    """Raise ``ValueError`` for the first value that is not positive; None is an option that is not used."""
    for name, value in values.items():
        if value is not None and value <= 0:
            raise ValueError(f"{name} must be positive, not {value:g}")


def not_negative(**values: float) -> None:
    """Raise ``ValueError`` for the first negative value."""
    for name, value in values.items():
        if value < 0:
            raise ValueError(f"{name} must not be negative, got {value:g}")


def below_one(**shares: float) -> None:
    """Raise ``ValueError`` for the first value outside [0, 1)."""
    for name, value in shares.items():
        if not 0 <= value < 1:
            raise ValueError(f"{name} must lie in [0, 1), not be {value:g}")


def unknown_name(kind: str, name: str, valid: Iterable[str]) -> UserError:
    """Return the error for a name that is not among ``valid``, with the nearest one where there is one."""
    choices = sorted(valid)
    near = difflib.get_close_matches(name, choices, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    listed = ", ".join(choices) if choices else "(none)"
    return UserError(f"unknown {kind} {name!r}{hint} Valid: {listed}")
