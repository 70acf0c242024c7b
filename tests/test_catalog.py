"""docs/defenses.md has a line for every defense that ships, and BibTeX for every paper that one names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from purification_bench.benchmark.registries import DEFENSES

DOCS = Path(__file__).parent.parent / "docs"
CATALOG, BIBTEX = (DOCS / "defenses.md").read_text(), (DOCS / "references.bib").read_text()
BUILT_IN = [name for name, entry in DEFENSES.entries().items() if entry.provider == "built-in"]


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_defense_has_its_line_and_its_paper(name):
    assert len(re.findall(rf"^\| `{name}` \|", CATALOG, re.MULTILINE)) == 1
    for identifier in re.findall(r"arXiv:[\d.]+\d", DEFENSES.get(name).paper):
        assert identifier in BIBTEX


def test_the_catalog_names_no_defense_that_there_is_not():
    assert set(re.findall(r"^\| `(\w+)` \|", CATALOG, re.MULTILINE)) == set(BUILT_IN)
