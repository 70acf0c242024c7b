"""The page that sets the seed paper's tables and figures beside what was measured (Mandal 2023)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from leaderboard import mandal2023, markdown, reproduction_figures
from leaderboard.atomic import replacing
from leaderboard.boards import boards
from leaderboard.reproduction_tables import DATASETS, TABLES, Measured
from leaderboard.result import Result
from leaderboard.store import Store
from leaderboard.tables import Table, failures, machine

COMMAND = "bench reproduce"
"""What every command line of a store starts with that this page belongs to."""
TITLES = {
    "1a": "Table 1a: FGSM on the classifier alone",
    "1b": "Table 1b: PGD on the classifier alone",
    "2": "Table 2: the auto-encoders, each under the attack that it was trained on",
    "3": "Table 3: the defenses under FGSM .60",
    "matrix": "Not in the paper: every auto-encoder under every attack",
    "adaptive": "Not in the paper: attackers who see the purifier",
}


def write(store: Store, target: Path | None = None) -> Path:
    """Render the page and its figures from the results alone; return its path (default ``README.md`` in the store)."""
    page = target or store.root / "README.md"
    results = list(store.results())
    measured = Measured(boards(results))
    pictures = _pictures(measured, store, page.parent)
    parts = [store.about() or "# The seed paper, reproduced", _how(results)]
    for name, title in TITLES.items():
        made = TABLES[name](measured)
        if made or pictures.get(name):
            parts += [f"## {title}", *map(markdown.render, made), *pictures.get(name, [])]
    if results:
        parts.append("## What was attacked, and with what")
        parts += [markdown.provenance(board, board.title) for board in measured.found]
    failed = failures(results)
    parts += [markdown.render(failed, level=2)] if failed else []
    aside = [f"- `{path.name}`: {reason}" for path, reason in store.set_aside]
    parts += ["## Set aside\n\n" + "\n".join(aside)] if aside else []
    parts += ["## Reproduce\n\n```sh\n" + "\n".join(store.commands()) + "\n```"] if store.commands() else []
    page.parent.mkdir(parents=True, exist_ok=True)
    with replacing(page) as partial:
        partial.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    return page


def owns(store: Store) -> bool:
    """Say whether a store was filled by ``bench reproduce`` and by nothing else: then this is its page."""
    commands = store.commands()
    return bool(commands) and all(line.startswith(COMMAND) for line in commands)


def tables(results: Iterable[Result], names: Iterable[str]) -> list[Table]:
    """Return the tables of these names that there are results for."""
    measured = Measured(boards(results))
    found = [(TITLES[name], table) for name in names for table in TABLES[name](measured)]
    return [replace(table, title=f"{title}. {table.title}") for title, table in found]


def _how(results: Sequence[Result]) -> str:
    machines = sorted({machine(result) for result in results if result.kind == "accuracy"})
    return (
        f"{len(results)} cells, computed on {'; '.join(machines) or 'no machine yet'}. Every figure is in percent of "
        "test images. *Difference* is measured less published, in points; the interval is at 95 % (Wilson) and covers "
        "the choice of images, not of training."
    )


def _pictures(measured: Measured, store: Store, beside: Path) -> dict[str, list[str]]:
    """Draw the paper's figures that there are images for; return Markdown by the table that each stands under."""
    folder = store.root / "figures"

    def images(dataset: str, defense: str, attack: str, eps: float) -> reproduction_figures.Examples | None:
        result = measured.cell(dataset, defense, attack, eps)
        return store.examples_of(result) if result is not None and result.attack is not None else None

    fgsm, pgd = mandal2023.sizes("1a"), mandal2023.sizes("1b")
    trained = {(mandal2023.AUTO_ENCODERS[n.attack], n.attack, n.eps) for n in mandal2023.of_table("2")}
    drawn = [
        ("1a", "Figure 2: the datasets.", reproduction_figures.samples(
            {d: images(d, "none", "fgsm", fgsm[0]) for d in DATASETS}, folder / "figure-2.png")),
        ("1a", "Figure 3: FGSM at every size, and what it adds (grey: nothing).", reproduction_figures.sizes(
            {d: {eps: images(d, "none", "fgsm", eps) for eps in fgsm} for d in DATASETS},
            folder / "figure-3.png")),
        ("1b", "Figure 4: PGD at every size, and what it adds (grey: nothing).", reproduction_figures.sizes(
            {d: {eps: images(d, "none", "pgd", eps) for eps in pgd} for d in DATASETS},
            folder / "figure-4.png")),
        ("2", "Figure 6: attacked, reconstructed and original images.", reproduction_figures.reconstructions(
            {(d, attack, eps): images(d, label, attack, eps) for d in DATASETS
             for label, attack, eps in sorted(trained)},
            folder / "figure-6.png")),
    ]  # fmt: skip
    found: dict[str, list[str]] = {}
    for table, caption, path in drawn:
        if path is not None:
            link = Path(os.path.relpath(path, beside)).as_posix()
            found.setdefault(table, []).append(f"![{caption}]({link})\n\n*{caption}*")
    return found
