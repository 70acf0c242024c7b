"""The page that sets the seed paper's tables and figures beside what was measured (Mandal 2023)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from purification_bench.leaderboard.judging.layout import lay_out
from purification_bench.leaderboard.mandal2023 import figures as reproduction_figures
from purification_bench.leaderboard.mandal2023 import published as mandal2023
from purification_bench.leaderboard.mandal2023.tables import DATASETS, TABLES, Measured
from purification_bench.leaderboard.results.atomic import replacing
from purification_bench.leaderboard.results.result import STANDARD, Result
from purification_bench.leaderboard.results.store import Store
from purification_bench.leaderboard.showing import markdown
from purification_bench.leaderboard.showing.tables import Table, failures, machine

TITLES: Mapping[str, str] = {
    "1a": "Table 1a: FGSM on the classifier alone",
    "1b": "Table 1b: PGD on the classifier alone",
    "2": "Table 2: the auto-encoders, each under the attack that it was trained on",
    "3": "Table 3: the defenses under FGSM .60",
    "matrix": "Not in the paper: every auto-encoder under every attack",
    "adaptive": "Not in the paper: attackers who see the purifier",
}
"""The tables, in the order of the page, and what each is headed by."""
FIGURES: Mapping[str, str] = {"2": "1a", "3": "1a", "4": "1b", "6": "2"}
"""The paper's figures that show its data or its attacks, and the table whose cells hold their images."""

CAPTIONS: Mapping[str, str] = {
    "2": "the datasets",
    "3": "FGSM at every size, and what it adds (grey: nothing)",
    "4": "PGD at every size, and what it adds (grey: nothing)",
    "6": "attacked, reconstructed and original images",
}


def write(store: Store, target: Path | None = None) -> Path:
    """Render the page and its figures from the results alone; return its path (default ``README.md`` in the store).

    Raises ``StoreError`` where there are no results.
    """
    page = target or store.root / "README.md"
    results = list(store.results())
    measured = Measured(lay_out(results))
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
    lines = [*_trained_by_command(measured), *store.commands()]
    parts += ["## Reproduce\n\n```sh\n" + "\n".join(lines) + "\n```"] if store.commands() else []
    page.parent.mkdir(parents=True, exist_ok=True)
    with replacing(page) as partial:
        partial.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    return page


def tables(results: Iterable[Result], names: Iterable[str]) -> list[Table]:
    """Return the tables of these names that there are results for."""
    measured = Measured(lay_out(results))
    found = [(TITLES[name], table) for name in names for table in TABLES[name](measured)]
    return [replace(table, title=f"{title}. {table.title}") for title, table in found]


def _how(results: Sequence[Result]) -> str:
    machines = sorted({machine(result) for result in results if result.kind == "accuracy"})
    return (
        f"{len(results)} cells, computed on {'; '.join(machines) or 'no machine yet'}. Accuracies are in percent of "
        "test images. *Difference* is measured less published, in points; the interval is at 95 % (Wilson) and covers "
        "the choice of images, not of training."
    )


def _trained_by_command(measured: Measured) -> list[str]:
    """Return the commands that train the released protocol's classifiers, which are not shipped."""
    boards = [board for board in measured.found if board.protocol != STANDARD]
    trained = [next(iter(board.rows.values())).newest.facts["classifier"] for board in boards]
    return list(dict.fromkeys(weights["command"] for weights in trained if weights))


def _pictures(measured: Measured, store: Store, beside: Path) -> dict[str, list[str]]:
    """Draw the paper's figures that there are images for; return Markdown by the table that each stands under."""

    def images(dataset: str, defense: str, attack: str, eps: float) -> reproduction_figures.Examples | None:
        result = measured.cell(dataset, defense, attack, eps)
        return store.examples_of(result) if result is not None and result.attack is not None else None

    def every_size(attack: str, sizes: Sequence[float]) -> dict[str, dict[float, reproduction_figures.Examples | None]]:
        return {d: {eps: images(d, "none", attack, eps) for eps in sizes} for d in DATASETS}

    fgsm, pgd = mandal2023.sizes("1a"), mandal2023.sizes("1b")
    trained = {(mandal2023.AUTO_ENCODERS[n.attack], n.attack, n.eps) for n in mandal2023.of_table("2")}
    purified = {
        (d, attack, eps): images(d, label, attack, eps) for d in DATASETS for label, attack, eps in sorted(trained)
    }
    paths = {number: store.root / "figures" / f"figure-{number}.png" for number in FIGURES}
    drawn = {
        "2": reproduction_figures.samples({d: images(d, "none", "fgsm", fgsm[0]) for d in DATASETS}, paths["2"]),
        "3": reproduction_figures.sizes(every_size("fgsm", fgsm), paths["3"]),
        "4": reproduction_figures.sizes(every_size("pgd", pgd), paths["4"]),
        "6": reproduction_figures.reconstructions(purified, paths["6"]),
    }
    found: dict[str, list[str]] = {}
    for number, path in drawn.items():
        if path is not None:
            link, caption = Path(os.path.relpath(path, beside)).as_posix(), f"Figure {number}: {CAPTIONS[number]}."
            found.setdefault(FIGURES[number], []).append(f"![{caption}]({link})\n\n*{caption}*")
    return found
