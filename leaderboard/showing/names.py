"""Short names for the rows of a table: what tells a defense from the others beside it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


def shortened(labels: Iterable[str]) -> Mapping[str, str]:
    """Return for each label, ``name[option=value,...]``, the shortest that no other of them could be meant by.

    A name that is there once needs no options; of several, those that all of them share are left out.

    >>> list(shortened(["one", "two[a=1,b=2]", "two[a=1,b=3]", "three[c=4]"]).values())
    ['one', 'two[b=2]', 'two[b=3]', 'three']
    """
    alike: dict[str, list[str]] = {}
    for label in labels:
        alike.setdefault(label.partition("[")[0], []).append(label)
    return {label: _short(label, those) for those in alike.values() for label in those}


def _short(label: str, alike: list[str]) -> str:
    shared = set.intersection(*(set(_options(each)) for each in alike))
    own = [option for option in _options(label) if option not in shared]
    name = label.partition("[")[0]
    return f"{name}[{','.join(own)}]" if own else name


def _options(label: str) -> list[str]:
    return [option for option in label.partition("[")[2].removesuffix("]").split(",") if option]
