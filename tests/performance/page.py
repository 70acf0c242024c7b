"""The page of what was measured: ``python tests/performance/page.py MEASURED.json...`` (``make perf`` does it)."""

from __future__ import annotations

import json
import os
import statistics
import sys
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from purification_bench.benchmark.environment import describe

FOLDER = Path(__file__).resolve().parents[2] / "leaderboard" / "performance"
ABOUT = """# What it costs

Times of `make perf`, or of its parts one after another, on one idle machine: the median of the rounds named, each
comparison side by side. With few rounds, and on a virtual machine, a figure may be off by a fifth. `script` is what
everybody writes (a fresh attack for every defense, attack and size), `port` is Defense-GAN as its public ports go,
restart by restart. Script or port and `bench` give the same results, which is asserted; dropping restarts, or passing
over broken images, gives others, which are told.
"""
GROWTH, HARNESS = "growth", "the harness"


def groups(measured: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Sort measurements by group, in the order in which they were made."""
    found: dict[str, list[dict[str, Any]]] = {}
    for each in measured["benchmarks"]:
        times = each["stats"]["data"]
        row = {"side": each["extra_info"]["side"], "n": each["extra_info"]["n"], "rounds": len(times)}
        row |= {"median": statistics.median(times), "least": min(times), "most": max(times)}
        row |= {
            name: each["extra_info"][name] for name in ("robust", "error", "peak_mib") if name in each["extra_info"]
        }
        found.setdefault(each["group"], []).append(row)
    return found


EXTRA = {"robust": "robust (%)", "error": "squared error", "peak_mib": "peak (MiB)"}
"""What some measurements hold besides, and its column's title."""


def table(rows: list[dict[str, Any]], *, grows: bool) -> str:
    """Write one group as a table: each row against the first, or, of what ``grows``, the time of one."""
    there = [name for name in EXTRA if any(name in row for row in rows)]
    last = "ms each" if grows else "times as fast"
    titles = ["", "n", "median (s)", "range (s)", "rounds", last, *(EXTRA[name] for name in there)]
    lines = ["| " + " | ".join(titles) + " |", "|:--|" + "--:|" * (len(titles) - 1)]
    for row in rows:
        compared = 1000 * row["median"] / row["n"] if grows else rows[0]["median"] / row["median"]
        cells = [row["side"], f"{row['n']:,}", f"{row['median']:.3g}", f"{row['least']:.3g} to {row['most']:.3g}"]
        cells += [str(row["rounds"]), f"{compared:.3g}", *(_figure(name, row) for name in there)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _figure(name: str, row: dict[str, Any]) -> str:
    if name not in row:
        return ""
    return f"{100 * row[name]:.1f}" if name == "robust" else f"{row[name]:.4g}"


def drawn(name: str, rows: list[dict[str, Any]], number: int) -> str:
    """Draw how a group grows; return the picture's place."""
    figure = Figure(figsize=(4.2, 2.8), layout="constrained")
    panel = figure.subplots()
    panel.loglog([row["n"] for row in rows], [row["median"] for row in rows], "o-", color="#0072B2")
    first = rows[0]
    panel.loglog(
        [row["n"] for row in rows], [first["median"] * row["n"] / first["n"] for row in rows], ":", color="0.5"
    )
    panel.minorticks_off()
    panel.set_xticks([row["n"] for row in rows], [f"{row['n']:,}" for row in rows])
    medians = [row["median"] for row in rows]
    panel.set_yticks(medians, [f"{median:.2g}" for median in medians])
    panel.set_title(name.partition(": ")[2], fontsize=9)
    panel.set_ylabel("s (dotted: in proportion)", fontsize=8)
    place = FOLDER / "figures" / f"growth-{number}.png"
    place.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(place, dpi=110)
    return f"figures/{place.name}"


def main(files: list[Path]) -> None:
    """Write the page and its pictures."""
    found: dict[str, list[dict[str, Any]]] = {}
    for file in files:
        found |= groups(json.loads(file.read_text(encoding="utf-8")))
    machine = describe("cpu")
    parts = [ABOUT, f"On {machine['device_name']}, {os.cpu_count()} cores, torch {machine['versions']['torch']}."]
    for number, (name, rows) in enumerate(found.items()):
        parts.append(f"## {name[0].upper()}{name[1:]}")
        if name.startswith(GROWTH) and len(rows) > 2:
            parts.append(f"![{name}]({drawn(name, rows, number)})")
        parts.append(table(rows, grows=name.startswith((GROWTH, HARNESS))))
    FOLDER.mkdir(parents=True, exist_ok=True)
    notes = FOLDER / "notes.md"
    if notes.is_file():
        parts.append(notes.read_text(encoding="utf-8").strip())
    (FOLDER / "README.md").write_text("\n\n".join(part.strip() for part in parts) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(list(map(Path, sys.argv[1:])))
