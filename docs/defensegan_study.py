"""The study behind docs/defensegan.md: Defense-GAN's options, one at a time, on validation images, gray-box.

    python docs/defensegan_study.py measure --dataset mnist --weights LOG_FOLDER_OF_THE_TRAINING --epoch 20
    python docs/defensegan_study.py plot

``measure`` adds the rows that docs/defensegan/study.csv lacks; ``plot`` draws what is there.
"""

from __future__ import annotations

import argparse
import csv
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import torch
from safetensors.torch import load_file
from torch import Tensor

from purification_bench.attacks import guard
from purification_bench.benchmark.assets.classifiers import Classifier
from purification_bench.benchmark.assets.data import Images
from purification_bench.benchmark.assets.loading import load_classifier
from purification_bench.benchmark.paths import SHIPPED_ZOO
from purification_bench.benchmark.registries import ATTACKS, CLASSIFIERS, DATASETS
from purification_bench.defenses.defensegan import DefenseGAN
from purification_bench.leaderboard.judging.statistics import wilson

OUT = Path(__file__).parent / "defensegan"
TABLE = OUT / "study.csv"
CONDITIONS = (("clean", 0.0), ("fgsm", 0.3), ("pgd", 0.3))
BASE: dict[str, Any] = {
    "steps": 25, "restarts": 10, "step_size": 10.0, "momentum": 0.7, "z_init": 1.0, "z_radius": None,
}  # fmt: skip
VARIED: dict[str, tuple[Any, ...]] = {
    "steps": (12, 25, 50, 100, 200),
    "restarts": (1, 4, 10, 20, 40),
    "step_size": (3.0, 10.0, 30.0),
    "momentum": (0.0, 0.7, 0.9),
    "z_init": (0.0884, 0.3, 1.0),
    "z_radius": (None, 11.3, 9.0, 7.0),
}
PAPER = {**BASE, "steps": 200, "z_init": 0.0884}
COLUMNS = ["dataset", "epoch", *BASE, "attack", "eps", "n", "right", "mse_to_clean", "seconds"]


def settings() -> Iterator[dict[str, Any]]:
    """Yield the base, then each option varied alone, then the paper's setting."""
    yield BASE
    for option, values in VARIED.items():
        yield from ({**BASE, option: value} for value in values if value != BASE[option])
    yield PAPER


def measure(args: argparse.Namespace) -> None:
    """Add the missing rows of one dataset: all settings on one epoch, the base on every snapshot."""
    images, classifier, attacked = _attacked(args)
    snapshots = {int(path.stem.removeprefix("epoch-")): path for path in args.weights.glob("epoch-*.safetensors")}
    if args.epoch not in snapshots:
        raise SystemExit(f"{args.weights} holds no snapshot of epoch {args.epoch}, but of {sorted(snapshots)}")
    done = {_key(row) for row in _rows()}
    for epoch, path in sorted(snapshots.items(), key=lambda item: item[0] != args.epoch):
        for options in settings() if epoch == args.epoch else (BASE,):
            for (attack, eps), x in attacked.items():
                row = {"dataset": args.dataset, "epoch": epoch, **options, "attack": attack, "eps": eps, "n": args.n}
                if _key(row) not in done:
                    _append({**row, **_purified(options, path, x, images, classifier, args.precision)})


def _attacked(args: argparse.Namespace) -> tuple[Images, Classifier, dict[tuple[str, float], Tensor]]:
    dataset = DATASETS.create(args.dataset)
    classifier, _ = load_classifier(CLASSIFIERS.spec("model_a"), dataset, torch.device("cpu"), [SHIPPED_ZOO])
    held_out = dataset.training_split("validation")
    images = Images(held_out.x[: args.n], held_out.y[: args.n])
    attacked = {}
    for attack, eps in CONDITIONS:
        made = ATTACKS.create(attack) if eps else None
        attacked[attack, eps] = guard.run(made, classifier, *images, [eps], [0])[0] if made else images.x
    return images, classifier, attacked


def _purified(
    options: dict[str, Any], weights: Path, x: Tensor, images: Images, classifier: Classifier, precision: str
) -> dict[str, Any]:
    defense = DefenseGAN(**options)
    defense.build((1, 28, 28), 10)
    defense.load_state_dict(load_file(weights))
    torch.manual_seed(0)
    begun = time.perf_counter()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
        purified = defense.eval().purify(x).float()
    seconds = time.perf_counter() - begun
    with torch.no_grad():
        right = int((classifier(purified).argmax(dim=1) == images.y).sum())
    mse = float((purified - images.x).square().mean())
    return {"right": right, "mse_to_clean": f"{mse:.5f}", "seconds": f"{seconds:.1f}"}


def _rows() -> list[dict[str, str]]:
    return list(csv.DictReader(TABLE.open(newline=""))) if TABLE.is_file() else []


def _key(row: dict[str, Any]) -> tuple[str, ...]:
    return tuple(_text(row[name]) for name in COLUMNS[: COLUMNS.index("right")])


def _append(row: dict[str, Any]) -> None:
    new = not TABLE.is_file()
    with TABLE.open("a", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        if new:
            writer.writeheader()
        writer.writerow(row)
    print({name: row[name] for name in COLUMNS if row[name] != BASE.get(name, object())}, flush=True)


def plot(_: argparse.Namespace) -> None:
    """Draw accuracy against training length, and against each option, a row of panels a dataset."""
    rows = _rows()
    for dataset in dict.fromkeys(row["dataset"] for row in rows):
        mine = [row for row in rows if row["dataset"] == dataset]
        _draw(f"{dataset}-training", {"epoch": [row for row in mine if _is(row, BASE)]})
        epoch = max((row["epoch"] for row in mine if not _is(row, BASE)), key=int)
        there = [row for row in mine if row["epoch"] == epoch]
        _draw(f"{dataset}-options", {option: [r for r in there if _is(r, BASE, but=option)] for option in VARIED})


def _is(row: dict[str, str], options: dict[str, Any], but: str = "") -> bool:
    return all(row[name] == _text(value) for name, value in options.items() if name != but)


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _draw(name: str, panels: dict[str, list[dict[str, str]]]) -> None:
    columns = min(3, len(panels))
    figure, axes = plt.subplots(
        -(-len(panels) // columns), columns, figsize=(4.2 * columns, 3.2 * -(-len(panels) // columns)),
        sharey=True, squeeze=False, layout="constrained",
    )  # fmt: skip
    for axis, (option, rows) in zip(axes.flat, panels.items(), strict=False):
        values = sorted({row[option] for row in rows}, key=lambda text: float(text) if text else math.inf)
        for attack, eps in CONDITIONS:
            chosen = {row[option]: row for row in rows if row["attack"] == attack}
            shares = [int(chosen[value]["right"]) / int(chosen[value]["n"]) for value in values]
            intervals = [wilson(p, int(chosen[value]["n"])) for p, value in zip(shares, values, strict=True)]
            places = range(len(values))
            label = "clean" if attack == "clean" else f"{attack.upper()} {eps:g}"
            axis.plot(places, [100 * p for p in shares], marker="o", label=label)
            low, high = ([100 * bound for bound in side] for side in zip(*intervals, strict=True))
            axis.fill_between(places, low, high, alpha=0.15)
        axis.set_xticks(range(len(values)), [value or "none" for value in values])
        axis.set_xlabel(option)
        axis.grid(alpha=0.3)
    axes[0, 0].set_ylabel("accuracy (%)")
    axes[0, 0].legend()
    figure.savefig(OUT / f"{name}.png", dpi=110)


def main() -> None:
    """Run the command that the arguments name."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    measuring = commands.add_parser("measure")
    measuring.add_argument("--dataset", default="mnist")
    measuring.add_argument("--weights", type=Path, required=True, help="folder of epoch-*.safetensors")
    measuring.add_argument("--epoch", type=int, required=True, help="the epoch whose options are varied")
    measuring.add_argument("-n", type=int, default=200)
    measuring.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    measuring.set_defaults(run=measure)
    commands.add_parser("plot").set_defaults(run=plot)
    args = parser.parse_args()
    OUT.mkdir(exist_ok=True)
    args.run(args)


if __name__ == "__main__":
    main()
