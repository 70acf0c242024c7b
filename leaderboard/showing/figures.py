"""The pictures of a board: robustness curves, and a gallery of what the purifiers do."""

from __future__ import annotations

import io
import itertools
import textwrap
from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from purification_bench.leaderboard.judging.aggregate import accuracy, robust_accuracy
from purification_bench.leaderboard.judging.boards import Board, Column
from purification_bench.leaderboard.judging.statistics import Estimate
from purification_bench.leaderboard.results.result import Result

PALETTE = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6D31")
"""Told apart with any colour vision (after Okabe and Ito)."""
MARKERS = "osD^vP*X"
STYLES = ("-", "--", ":")
GALLERY_IMAGES = 8
GALLERY_DEFENSES = 10
GAP_PANELS = 4
"""Panels in a row of the picture of gaps."""

Images = NDArray[np.uint8]
Band = tuple[str, list[tuple[float, float]]]
"""The colour of a line and the outline of its intervals."""
mpl.rcParams["svg.hashsalt"] = "purification-bench"


def curves(board: Board, folder: Path, stem: str) -> Path | None:
    """Draw accuracy against eps, one panel an attack; write SVG and PNG and return the PNG's path.

    None where no attack of the board has a size to draw against.
    """
    attacks = [a for a, threat in board.attacks if threat.is_baseline and board.sizes(a)[0].norm == "linf"]
    if not attacks:
        return None
    width = 1.2 + 3.1 * len(attacks)
    across = max(1, min(4, int(width / max(0.6 + 0.07 * len(name) for name in board.rows))))
    legend = 0.1 + 0.19 * -(-len(board.rows) // across)
    height = 3.4 + legend
    figure = Figure(figsize=(width, height))  # laid out by hand, in inches: an engine draws everything once more
    panels = figure.subplots(1, len(attacks), sharex=True, sharey=True, squeeze=False)[0]
    figure.subplots_adjust(0.6 / width, (0.5 + legend) / height, 1 - 0.15 / width, 1 - 0.6 / height, wspace=0.08)
    for panel, attack in zip(panels, attacks, strict=True):
        _curve_panel(panel, board, attack)
    panels[0].set_ylabel("accuracy (%)")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=across, frameon=False, fontsize=9, borderaxespad=0.2)
    figure.suptitle(f"{board.title}: gray-box accuracy, 95 % intervals", fontsize=10, y=1 - 0.1 / height)
    return _save(figure, folder, stem)


def gaps(board: Board, folder: Path, stem: str) -> Path | None:
    """Draw, one panel a defense, the worst case that is claimed and the one that attackers leave who see the purifier.

    None where nobody saw one.
    """
    rows = [row for row in board.rows.values() if board.adaptive_sizes(row)]
    if not rows:
        return None
    across = min(GAP_PANELS, len(rows))
    down = -(-len(rows) // across)
    figure = Figure(figsize=(1.2 + 2.3 * across, 0.8 + 2.3 * down), layout="constrained")
    panels = figure.subplots(down, across, sharex=True, sharey=True, squeeze=False).flatten()
    for panel, row in zip(panels, rows, strict=False):
        sizes = board.adaptive_sizes(row)
        clean = [(0.0, accuracy(row.clean))]
        claimed = [(eps, robust_accuracy(row, board.candidates(eps))) for eps in sizes]
        robust = [(eps, robust_accuracy(row, board.headline(row, eps))) for eps in sizes]
        unaware = "claimed: the attacker does not know the purifier"
        bands = [
            _line(panel, _known(clean + claimed), unaware, PALETTE[1], "o", "--"),
            _line(panel, _known(clean + robust), "robust: all attackers together", PALETTE[2], "s", "-"),
        ]
        _dress(panel, board, _wrapped(row.defense), bands)
        panel.tick_params(labelbottom=True)
        panel.locator_params(axis="x", nbins=4)
    for panel in panels[len(rows) :]:
        panel.set_visible(False)
    for panel in panels[::across]:
        panel.set_ylabel("worst case (%)")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    figure.suptitle(f"{board.title}: what is claimed, and what is left", fontsize=10)
    return _save(figure, folder, stem)


def gallery(
    board: Board, examples: Callable[[Result], dict[str, Images] | None], folder: Path, stem: str
) -> Path | None:
    """Draw clean and adversarial images, and for each defense what it makes of them and how far that is from clean.

    The attack is the last Linf one of the board at its mark that kept example images, the defenses its first
    ``GALLERY_DEFENSES``; None where none did.
    """
    for column in reversed(board.candidates(board.mark)):
        kept = _examples(board, column, examples)
        if not column.traits.control and kept:
            break
    else:
        return None
    first = next(iter(kept.values()))
    count = min(GALLERY_IMAGES, *(len(images["clean"]) for images in kept.values()))
    strips: list[tuple[str, Images]] = [
        ("clean", first["clean"]),
        (f"{column.attack} {column.eps:g}", first["adversarial"]),
    ]
    strips.append(("attacked − clean", difference(first["adversarial"], first["clean"])))
    for defense, images in itertools.islice(kept.items(), GALLERY_DEFENSES):
        strips += [
            (defense, images["purified"]),
            ("purified − clean", difference(images["purified"], images["clean"])),
        ]
    picture, pitch = stack([strip[:count] for _, strip in strips])
    figure = Figure(figsize=(2.6 + 0.62 * count, 0.66 * len(strips) + 0.1), layout="constrained")
    axes = figure.subplots()
    axes.imshow(picture, vmin=0, vmax=255, cmap="gray", interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([pitch * (i + 0.5) for i in range(len(strips))], [_wrapped(label) for label, _ in strips])
    axes.tick_params(length=0, labelsize=8)
    for side in axes.spines.values():
        side.set_visible(False)
    return save_png(figure, folder / f"{stem}.png", dpi=110, bbox_inches="tight")


def save_png(figure: Figure, path: Path, *, dpi: int, bbox_inches: str | None = None) -> Path:
    """Write a picture in 256 colours, a third of the size; return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=dpi, bbox_inches=bbox_inches, pil_kwargs={"compress_level": 1})
    Image.open(drawn).convert("RGB").quantize(dither=Image.Dither.NONE).save(path)
    return path


def _save(figure: Figure, folder: Path, stem: str) -> Path:
    path = save_png(figure, folder / f"{stem}.png", dpi=130)
    figure.set_layout_engine("none")  # it is laid out: once is enough
    figure.savefig(path.with_suffix(".svg"), metadata={"Date": None})
    return path


def _curve_panel(panel: Axes, board: Board, attack: str) -> None:
    bands = []
    for index, row in enumerate(board.rows.values()):
        points = _known(
            [(0.0, accuracy(row.clean))] + [(c.eps, accuracy(row.cells.get(c))) for c in board.sizes(attack)]
        )
        if len(points) > 1:
            again = index // len(PALETTE)
            marker, style = MARKERS[(index + 3 * again) % len(MARKERS)], STYLES[again % len(STYLES)]
            bands.append(_line(panel, points, row.defense, PALETTE[index % len(PALETTE)], marker, style))
    _dress(panel, board, attack, bands)


def _line(
    panel: Axes, points: list[tuple[float, Estimate]], label: str, colour: str, marker: str, style: str
) -> Band:  # fmt: skip
    """Draw estimates against eps; return the band of their intervals."""
    eps = [at for at, _ in points]
    values, lows, highs = ([100 * getattr(e, part) for _, e in points] for part in ("value", "low", "high"))
    panel.plot(eps, values, style, marker=marker, markersize=4, color=colour, label=label, linewidth=1.4)
    return colour, [*zip(eps, lows, strict=True), *zip(eps[::-1], highs[::-1], strict=True)]


def _dress(panel: Axes, board: Board, title: str, bands: list[Band]) -> None:
    outlines, colours = [outline for _, outline in bands], [colour for colour, _ in bands]
    panel.add_collection(PolyCollection(outlines, facecolors=colours, alpha=0.15, linewidths=0), autolim=False)
    panel.axvline(board.mark, color="0.6", linewidth=0.8, linestyle=":")
    panel.set_title(title, fontsize=10)
    panel.set_xlabel("eps (Linf)")
    panel.set_ylim(0, 100)
    panel.set_xlim(left=0)
    panel.grid(color="0.92")
    panel.set_axisbelow(True)
    for side in ("top", "right"):
        panel.spines[side].set_visible(False)


def _known(points: list[tuple[float, Estimate | None]]) -> list[tuple[float, Estimate]]:
    return [(eps, estimate) for eps, estimate in points if estimate is not None]


def _examples(
    board: Board, column: Column, examples: Callable[[Result], dict[str, Images] | None]
) -> dict[str, dict[str, Images]]:
    kept = {}
    for name, row in board.rows.items():
        result = row.cells.get(column)
        images = examples(result) if result is not None and result.ok else None
        if images is not None and not row.undefended:
            kept[name] = images
    return kept


def _wrapped(label: str) -> str:
    """Break a long label behind its commas and before its bracket."""
    return "\n".join(textwrap.wrap(label.replace("[", " [").replace(",", ", "), 24))


def difference(images: Images, clean: Images) -> Images:
    """Show a difference in grey: mid-grey is none, black and white are a whole pixel range down and up."""
    signed = (images.astype(np.int16) - clean.astype(np.int16)) // 2 + 128
    return signed.clip(0, 255).astype(np.uint8)


def stack(strips: list[Images]) -> tuple[Images, int]:
    """Lay strips of images ``(k, C, H, W)`` out as one picture; return it with the distance between strips."""
    gap = 3
    rows = []
    for strip in strips:
        colour = np.repeat(strip, 3, axis=1) if strip.shape[1] == 1 else strip
        tiles = [
            np.pad(image.transpose(1, 2, 0), ((0, gap), (0, gap), (0, 0)), constant_values=255) for image in colour
        ]
        rows.append(np.concatenate(tiles, axis=1))
    return np.concatenate(rows, axis=0), strips[0].shape[-2] + gap
