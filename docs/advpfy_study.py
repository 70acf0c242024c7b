"""AdvPFY under its authors' protocol (Yang et al. 2024): the head of its VAE is the classifier, and is attacked alone.

    bench train defense advpfy --dataset fashion_mnist
    bench train defense 'advpfy[variational=false]' --dataset fashion_mnist
    python docs/advpfy_study.py --dataset fashion_mnist

PGD of 200 steps within 50/255 against the head, on the first 1,024 test images; purified are what it made and the
clean images. The plain auto-encoder is purified down its squared error in the same way.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from purification_bench.attacks import guard
from purification_bench.benchmark.assets import zoo
from purification_bench.benchmark.assets.data import ImageDataset
from purification_bench.benchmark.assets.loading import load_defense
from purification_bench.benchmark.registries import ATTACKS, CLASSIFIERS, DATASETS, DEFENSES
from purification_bench.defenses.advpfy import AdvPFY
from purification_bench.leaderboard.judging.statistics import wilson

DEFENSES_COMPARED = ("advpfy", "advpfy[variational=false]")
EPS, BATCH = 50 / 255, 128


def measured(defense: AdvPFY, x: Tensor, y: Tensor, attack: str) -> Iterator[tuple[str, int]]:
    """Yield of how many images the head is right: clean and attacked, as they are and purified."""
    vae = defense.vae.eval().requires_grad_(False)
    parts = list(zip(x.split(BATCH), y.split(BATCH), strict=True))
    attacked = [
        (guard.run(ATTACKS.create(attack), vae, images, labels, [EPS], [k])[0], labels)
        for k, (images, labels) in enumerate(parts)
    ]
    for name, images in (("clean", parts), (attack, attacked)):
        yield name, _right(vae, images)
        yield f"{name}, purified", _right(vae, [(defense.purify(each), labels) for each, labels in images])


@torch.no_grad()
def _right(vae: torch.nn.Module, parts: list[tuple[Tensor, Tensor]]) -> int:
    return sum(int((vae(images).argmax(dim=1) == labels).sum()) for images, labels in parts)


def main() -> None:
    """Print the accuracies of both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="fashion_mnist")
    parser.add_argument("--attack", default="pgd[steps=200]")
    parser.add_argument("--zoo", type=Path, help="where the weights are")
    parser.add_argument("-n", type=int, default=1024)
    args = parser.parse_args()
    dataset: ImageDataset = DATASETS.create(args.dataset)
    images = dataset.load("test", None)
    for name in DEFENSES_COMPARED:
        torch.manual_seed(0)
        spec, classifier = DEFENSES.spec(name), CLASSIFIERS.spec("model_a")
        defense, _ = load_defense(spec, dataset, classifier, torch.device("cpu"), zoo.search_path(args.zoo))
        assert isinstance(defense, AdvPFY)
        for what, right in measured(defense, images.x[: args.n], images.y[: args.n], args.attack):
            low, high = wilson(right / args.n, args.n)
            print(f"{name}  {what}: {100 * right / args.n:.1f} % [{100 * low:.1f}, {100 * high:.1f}] of {args.n}")


if __name__ == "__main__":
    main()
