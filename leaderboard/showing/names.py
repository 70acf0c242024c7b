"""Short names for the rows of a board: what tells a defense from the others beside it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import combinations

from purification_bench.leaderboard.judging.boards import Board, Row
from purification_bench.leaderboard.showing.values import Name

MOST_OPTIONS = 12
"""Of more options than these, all are told."""


def shortened(labels: Iterable[str]) -> Mapping[str, str]:
    """Return for each label, ``name[option=value,...]``, the shortest that no other of them could be meant by.

    A name that is there once needs no options; several are told apart by as few of them as can be. No short name with
    options reads as a label would, since it leaves options out.

    >>> list(shortened(["one", "two[a=1,b=2]", "two[a=1,b=3]", "three[c=4]"]).values())
    ['one', 'two b=2', 'two b=3', 'three']
    """
    alike: dict[str, list[str]] = {}
    for label in labels:
        alike.setdefault(label.partition("[")[0], []).append(label)
    short = {label: told for those in alike.values() for label, told in _told_apart(those).items()}
    return {label: short[label] for those in alike.values() for label in those}


def of_board(board: Board) -> Mapping[str, str]:
    """Return the short names of a board's rows, by label."""
    return _of_labels(tuple(board.rows))


def row_name(board: Board, row: Row) -> Name:
    """Return the short name of a row."""
    return Name(of_board(board)[row.defense])


def meant(text: str, labels: Sequence[str]) -> str | None:
    """Return the label that somebody means who writes it, its short name, or some of its options, in any order.

    None where there is none, or more than one.
    """
    short = shortened(labels)
    asked = _parts(text)
    fitting = [label for label in labels if asked in (_parts(label), _parts(short[label]))]
    named = fitting or [label for label in labels if asked <= _parts(label)]
    return named[0] if len(named) == 1 else None


@lru_cache(maxsize=64)
def _of_labels(labels: tuple[str, ...]) -> Mapping[str, str]:
    return shortened(labels)


def _told_apart(labels: Sequence[str]) -> dict[str, str]:
    """Return the labels of one name, each with the options, the same for all, that tell them apart."""
    options = {label: _options(label) for label in labels}
    keys = sorted({key for each in options.values() for key in each})
    counts = range(len(keys) + 1) if len(keys) <= MOST_OPTIONS else [len(keys)]
    for chosen in (chosen for count in counts for chosen in combinations(keys, count)):
        told = {label: tuple(options[label][key] for key in chosen if key in options[label]) for label in labels}
        if len(set(told.values())) == len(labels):
            break
    return {label: " ".join((label.partition("[")[0], *words)) for label, words in told.items()}


def _options(label: str) -> dict[str, str]:
    inner = label.partition("[")[2].removesuffix("]")
    return {option.partition("=")[0]: option for option in inner.split(",") if option}


def _parts(text: str) -> frozenset[str]:
    """Return the words of a name, with numbers as they are equal: 2 is 2.0."""
    words = text.replace("[", " ").replace("]", " ").replace(",", " ").split()
    return frozenset("=".join((option, _number(value))) for option, _, value in (word.partition("=") for word in words))


def _number(text: str) -> str:
    try:
        return repr(float(text))
    except ValueError:
        return text
