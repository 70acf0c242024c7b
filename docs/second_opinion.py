"""A second opinion: other people's attacks on a row of the published board, against what the board says is left.

    python docs/second_opinion.py mnist 'cae[against=pgd,eps=0.15]' -n 200 --eot 20

foolbox's PGD and the reference AutoAttack (`pip install -e '.[dev]'` has both) attack the model that `defended` gives,
one draw at a time, then the mean logits of --eot draws. Their images are judged as the board judges its own, by draws
made for that, and compared image by image with the board's worst case. A line a row and attack goes to
docs/attack-strength/second-opinion.csv.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Callable
from pathlib import Path

import foolbox
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from purification_bench import defended
from purification_bench.attacks.queried import Averaged
from purification_bench.attacks.seeding import seeded
from purification_bench.benchmark.registries import DATASETS
from purification_bench.leaderboard.judging.aggregate import robust_means
from purification_bench.leaderboard.judging.layout import lay_out
from purification_bench.leaderboard.judging.statistics import compare
from purification_bench.leaderboard.results.store import Store

ROOT = Path(__file__).parents[1]
TABLE = ROOT / "docs" / "attack-strength" / "second-opinion.csv"
COLUMNS = ("dataset", "classifier", "defense", "attack", "eot", "n", "eps", "board", "theirs", "p", "seconds")
DRAWS = 10
SIGNIFICANT = 0.01
BATCH = 50

Attack = Callable[[nn.Module, Tensor, Tensor, float], Tensor]


def foolbox_pgd(model: nn.Module, x: Tensor, y: Tensor, eps: float) -> Tensor:
    """Return the images of foolbox's PGD with its own settings: 40 steps from a random start."""
    bounded = foolbox.PyTorchModel(model, bounds=(0, 1), device="cpu")
    found: Tensor = foolbox.attacks.LinfPGD()(bounded, x, y, epsilons=[eps])[1][0]
    return found


def autoattack(model: nn.Module, x: Tensor, y: Tensor, eps: float) -> Tensor:
    """Return the images of the reference AutoAttack: ``standard``; of a model that draws, ``rand`` with one pass.

    It averages over draws where the model itself does. It takes one answer of a random model for a verdict on the clean
    image, and on what each of its attacks found: so of its attacks, not of its verdicts, this is an opinion.
    """
    from pyautoattack import AutoAttack

    version = "rand" if is_random(model) else "standard"
    reference = AutoAttack(model, norm="Linf", eps=eps, seed=0, version=version, device="cpu", verbose=False)
    reference.verbose = False
    for part in (reference.apgd, getattr(reference, "apgd_targeted", None)):
        if part is not None:
            part.eot_iter = 1
    found: Tensor = reference.run_standard_evaluation(x, y, batch_size=len(x))[0]
    return found


ATTACKS: dict[str, Attack] = {"foolbox-pgd": foolbox_pgd, "autoattack": autoattack}


def is_random(model: nn.Module) -> bool:
    """Say whether the defense in a model draws."""
    return any(bool(getattr(part, "stochastic", False)) for part in model.modules())


def right(model: nn.Module, x: Tensor, y: Tensor, draws: int) -> NDArray[np.float64]:
    """Return of each image the share of draws ``(n,)`` that are classified right."""
    with torch.no_grad(), seeded(2026, x.device):
        answers = [model(x).argmax(dim=1) == y for _ in range(draws)]
    return torch.stack(answers).double().mean(dim=0).numpy()


def board_means(store: Path, dataset: str, classifier: str, defense: str) -> tuple[NDArray[np.float64], float]:
    """Return each image's robust share on the board at its mark, and the mark."""
    for board in lay_out(Store(store).results()):
        if (board.dataset, board.classifier, board.protocol) == (dataset, classifier, "standard"):
            for name, row in board.rows.items():
                means = robust_means(row, board.headline(row, board.mark)) if name == defense else None
                if means is not None:
                    return means, board.mark
    raise SystemExit(f"{store} has no headline of {defense} before {classifier} on {dataset}")


def opinions(args: argparse.Namespace) -> None:
    """Attack a row, compare, and add a line for each attack."""
    means, eps = board_means(args.store, args.dataset, args.classifier, args.defense)
    judged = DATASETS.create(args.dataset).judged(args.n)
    n = min(args.n, len(means))
    x, y, ours = judged.x[:n], judged.y[:n], means[:n]
    model = defended(args.defense, args.dataset, args.classifier)
    drawn = is_random(model)
    for eot in (1, args.eot) if drawn else (1,):
        attacked = (Averaged(model, eot) if eot > 1 else model).eval()
        for name in args.attacks:
            started, found = time.perf_counter(), []
            for images, labels in zip(x.split(BATCH), y.split(BATCH), strict=True):
                with seeded(1, x.device):
                    found.append(ATTACKS[name](attacked, images, labels, eps).detach())
            seconds = time.perf_counter() - started
            x_adv = torch.cat(found)
            if float((x_adv - x).abs().max()) > eps + 1e-5 or float(x_adv.min()) < 0 or float(x_adv.max()) > 1:
                raise SystemExit(f"{name} left the ball")
            theirs = right(model, x_adv, y, DRAWS if drawn else 1)
            compared = compare(ours, theirs)
            line = (args.dataset, args.classifier, args.defense, name, eot, n, eps)
            figures = (f"{100 * ours.mean():.1f}", f"{100 * theirs.mean():.1f}", f"{compared.p_value:.2g}")
            _add((*line, *figures, round(seconds)))
            differs = compared.p_value < SIGNIFICANT
            found_more, found_less = theirs.mean() < ours.mean(), theirs.mean() > ours.mean()
            said = "breaks more" if differs and found_more else "breaks less" if differs and found_less else "agrees"
            print(*line, "board", figures[0], "theirs", figures[1], "p", figures[2], said, flush=True)


def _add(row: tuple[object, ...]) -> None:
    new = not TABLE.exists()
    TABLE.parent.mkdir(exist_ok=True)
    with TABLE.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        if new:
            writer.writerow(COLUMNS)
        writer.writerow(row)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset")
    parser.add_argument("defense", help="as the board names it in full")
    parser.add_argument("--classifier", default="model_a")
    parser.add_argument("--attacks", nargs="+", choices=ATTACKS, default=list(ATTACKS))
    parser.add_argument("--store", type=Path, default=ROOT / "leaderboard" / "published")
    parser.add_argument("-n", type=int, default=200)
    parser.add_argument("--eot", type=int, default=20)
    opinions(parser.parse_args())


if __name__ == "__main__":
    main()
