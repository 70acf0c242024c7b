"""What a class says of itself, read from its source file: nothing is imported, so it takes milliseconds."""

from __future__ import annotations

import ast
import functools
import importlib.util
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

RANGES = {"at_least_one": "at least 1", "positive": "more than 0", "not_negative": "0 or more"}
"""What the functions of ``errors`` ask of a value."""

PARAMETERS = "Parameters\n----------\n"
ENTRY = re.compile(r"^((\S.*):\n(?:    .*\n?)+)", re.MULTILINE)
"""Some options of a docstring's list, and what is said of them."""


@dataclass(frozen=True)
class Option:
    """An option of a constructor, as its source has it."""

    name: str
    kind: str
    """Its annotation; empty where it has none."""
    default: str | None
    """None: it must be given."""
    valid: str = ""
    """What its constructor asks of its value, as far as it asks in words of ``errors``."""


@dataclass(frozen=True)
class Described:
    """A class: its docstring, its options, and what it and its bases declare."""

    doc: str
    options: tuple[Option, ...]
    declared: Mapping[str, str]
    """Source text of each attribute; of one that the constructor sets, that."""
    defines: frozenset[str] = frozenset()
    """The functions that it and its bases write, those of the last base left out."""


def described(file: Path, name: str) -> Described | None:
    """Return what the class ``name`` in ``file`` says of itself; None where there is none."""
    chain = list(_with_bases(file, name))
    if not chain:
        return None
    declared: dict[str, str] = {}
    for node, tree in chain:
        for attribute, value in (*_set_by_constructor(node), *_set_by_class(node)):
            declared.setdefault(attribute, ast.unparse(_meant(value, tree)))
    constructors = [(made, tree) for node, tree in chain if (made := _constructor(node))]
    valid = {option: words for made, _ in constructors for option, words in _ranges(made)}
    options = _options(*constructors[0], valid) if constructors else iter(())
    listed = tuple(options)
    written = (each for node, _ in chain[:-1] or chain for each in node.body)
    defines = frozenset(each.name for each in written if isinstance(each, ast.FunctionDef))
    return Described(_doc([node for node, _ in chain], {option.name for option in listed}), listed, declared, defines)


def _doc(chain: list[ast.ClassDef], options: set[str]) -> str:
    """Return a class's docstring; where it explains no options, with what the next of its bases says of them."""
    own, *inherited = [ast.get_docstring(node) or "" for node in chain]
    if PARAMETERS in own:
        return own
    sections = [doc.partition(PARAMETERS)[2].partition("\n\n")[0] for doc in inherited if PARAMETERS in doc]
    entries = ENTRY.findall(sections[0]) if sections else []
    explained = "".join(text for text, names in entries if options & set(names.split(", ")))
    return f"{own}\n\n{PARAMETERS}{explained}".rstrip() if explained else own


def file_of_module(module: str) -> Path | None:
    """Return the source file of a module, which is not imported; None where there is none."""
    try:
        spec = importlib.util.find_spec(module)
    except ImportError:
        return None
    return Path(spec.origin) if spec is not None and spec.origin and spec.origin.endswith(".py") else None


def _with_bases(file: Path, name: str) -> Iterator[tuple[ast.ClassDef, ast.Module]]:
    """Yield a class, and its bases as far as they are in files that can be read, each with its module."""
    tree = _parsed(file)
    node = next((each for each in tree.body if isinstance(each, ast.ClassDef) and each.name == name), None)
    if node is None:
        elsewhere = _imported_from(tree, name)
        if elsewhere is not None:  # a package that passes it on
            yield from _with_bases(elsewhere, name)
        return
    yield node, tree
    for base in node.bases:
        if isinstance(base, ast.Name):
            other = _imported_from(tree, base.id) or file
            if other != file or base.id != name:
                yield from _with_bases(other, base.id)


@functools.cache
def _parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def _imported_from(tree: ast.Module, name: str) -> Path | None:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and any(alias.name == name for alias in node.names):
            return file_of_module(node.module)
    return None


def _constructor(node: ast.ClassDef) -> ast.FunctionDef | None:
    return next((each for each in node.body if isinstance(each, ast.FunctionDef) and each.name == "__init__"), None)


def _ranges(constructor: ast.FunctionDef) -> Iterator[tuple[str, str]]:
    """Yield the options that a constructor checks, and what it asks of each."""
    for node in ast.walk(constructor):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in RANGES:
            yield from ((keyword.arg, RANGES[node.func.id]) for keyword in node.keywords if keyword.arg)


def _options(constructor: ast.FunctionDef, tree: ast.Module, valid: Mapping[str, str]) -> Iterator[Option]:
    for argument, default in zip(constructor.args.kwonlyargs, constructor.args.kw_defaults, strict=True):
        kind = ast.unparse(_meant(argument.annotation, tree)) if argument.annotation else ""
        shown = ast.unparse(_meant(default, tree)) if default else None
        yield Option(argument.arg, kind, shown, valid.get(argument.arg, ""))


def _meant(value: ast.expr, tree: ast.Module) -> ast.expr:
    """Return what a name stands for that a module, or one that it imports from, gives a value to."""
    if not isinstance(value, ast.Name):
        return value
    file = _imported_from(tree, value.id)
    for node in (_parsed(file) if file else tree).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == value.id:
            return node.value
    return value


def _set_by_class(node: ast.ClassDef) -> Iterator[tuple[str, ast.expr]]:
    for each in node.body:
        if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name) and each.value:
            yield each.target.id, each.value
        elif isinstance(each, ast.Assign):
            yield from _named(each.targets[0], each.value)


def _named(target: ast.expr, value: ast.expr) -> Iterator[tuple[str, ast.expr]]:
    """Yield each name that an assignment gives a value to, ``a, b = 1, 2`` among them."""
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        for one, its in zip(target.elts, value.elts, strict=True):
            yield from _named(one, its)
    elif isinstance(target, ast.Name):
        yield target.id, value


def _set_by_constructor(node: ast.ClassDef) -> Iterator[tuple[str, ast.expr]]:
    constructor = _constructor(node)
    for each in constructor.body if constructor else ():
        if isinstance(each, ast.Assign) and isinstance(each.targets[0], ast.Attribute):
            yield each.targets[0].attr, each.value
