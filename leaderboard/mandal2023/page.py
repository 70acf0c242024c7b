"""The page that sets the seed paper's tables and figures beside what was measured (Mandal 2023)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from purification_bench.leaderboard.judging.layout import lay_out
from purification_bench.leaderboard.mandal2023.measured import Measured
from purification_bench.leaderboard.mandal2023.pictures import FIGURES, draw
from purification_bench.leaderboard.mandal2023.tables import SECTIONS
from purification_bench.leaderboard.results.result import STANDARD, Result
from purification_bench.leaderboard.results.store import Store
from purification_bench.leaderboard.showing import markdown, page_parts
from purification_bench.leaderboard.showing.tables.origin import machine, provenance
from purification_bench.leaderboard.showing.values import Term, text

TITLE = "# The seed paper, reproduced"


def write_reproduction(store: Store, target: Path | None = None) -> Path:
    """Render the page and its figures from the results alone; return its path (default ``README.md`` in the store).

    Raises ``StoreError`` where there are no results.
    """
    page = target or store.root / "README.md"
    results = list(store.results())
    measured = Measured(lay_out(results))
    drawn = draw(store, measured, page.parent / "figures")
    links = {number: page_parts.link(path, page) for number, path in drawn.items()}
    parts = [store.about() or TITLE, _computed(results), *_sections(measured, links), *_attacked(measured)]
    commands = store.commands()
    lines = [*_training_commands(measured), *commands] if commands else []
    page_parts.write(page, [*parts, *page_parts.endings(results, lines, store.set_aside)])
    return page


def _computed(results: Sequence[Result]) -> str:
    machines = sorted({machine(result) for result in results if result.kind == "accuracy"})
    return markdown.prose(
        text(
            f"{len(results)} cells, computed on {'; '.join(machines) or 'no machine yet'}. Accuracies are in percent "
            "of test images. ",
            Term("Difference"),
            " is measured less published, in points; the interval is at 95 % "
            "(Wilson) and covers the choice of images, not of training.",
        )
    )


def _sections(measured: Measured, links: Mapping[str, str]) -> list[str]:
    """Return the paper's tables, each with the figures that show its cells' images."""
    sections = []
    for name, section in SECTIONS.items():
        shown = [markdown.render(table) for table in section.make(measured)]
        shown += [
            markdown.picture(f"Figure {number}: {figure.shows}.", links[number])
            for number, figure in FIGURES.items()
            if figure.table == name and number in links
        ]
        sections += [markdown.heading(section.title, level=2), *shown] if shown else []
    return sections


def _attacked(measured: Measured) -> list[str]:
    """Return whose weights were attacked; nothing where nothing was."""
    tables = [markdown.render(provenance(board, board.title)) for board in measured.boards]
    return ["## What was attacked, and with what", *tables] if tables else []


def _training_commands(measured: Measured) -> list[str]:
    """Return the commands that train the released protocol's classifiers, which are not shipped."""
    apart = [board for board in measured.boards if board.protocol != STANDARD]
    trained = [next(iter(board.rows.values())).newest.facts["classifier"] for board in apart]
    return list(dict.fromkeys(weights["command"] for weights in trained if weights))
