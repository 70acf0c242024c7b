"""A gray-box grid: the script that everybody writes, and ``bench``, with equal results."""

from __future__ import annotations

import foolbox
import numpy as np
import pytest
import torch
import torchattacks
from settings import N

import purification_bench as pb

DEFENSES = ("none", "binarize", "median", "cae", "cae[latent_dim=32,noise=0.1]", "puvae")
FGSM = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6)
PGD = (0.1, 0.15, 0.2, 0.25, 0.3)
BATCH = 250


def script(loaded):
    """Attack and judge anew for every defense, attack and size."""
    x, y = loaded.images(N)
    right = {}
    for name in DEFENSES:
        defense = loaded.defense(name)
        torch.manual_seed(0)
        for kind, sizes in (("fgsm", FGSM), ("pgd", PGD)):
            for eps in sizes:
                verdicts = []
                for images, labels in zip(x.split(BATCH), y.split(BATCH), strict=True):
                    if kind == "fgsm":
                        attack = torchattacks.FGSM(loaded.classifier, eps=eps)
                    else:
                        step = 2.5 * eps / 40
                        attack = torchattacks.PGD(loaded.classifier, eps, step, steps=40, random_start=False)
                    x_adv = attack(images, labels)
                    with torch.no_grad():
                        verdicts.append(loaded.classifier(defense.purify(x_adv)).argmax(dim=1) == labels)
                right[name, kind, eps] = torch.cat(verdicts).numpy()
    return right


def harness(folder):
    """Ask ``bench`` for the same."""
    found = [*asked("fgsm", FGSM, folder), *asked("pgd[random_start=false]", PGD, folder)]
    return {(r.defense, r.attack.partition("[")[0], r.eps): r.means for r in found if r.attack}


def asked(attack, sizes, folder):
    """Return the results of one attack at some sizes on all defenses."""
    return pb.run(
        datasets="mnist",
        classifiers="model_a",
        defenses=DEFENSES,
        references=[],
        attacks=[attack],
        threats="graybox",
        eps=list(sizes),
        n=N,
        draws=1,
        latency=False,
        out=folder,
        progress=False,
    ).results


@pytest.mark.benchmark(group="gray-box grid")
def test_script(loaded, measure, outputs):
    outputs["grid"] = measure(lambda: script(loaded), side="script", n=N, warm_up=0)


@pytest.mark.benchmark(group="gray-box grid")
def test_bench(loaded, measure, outputs, folder):
    found = measure(lambda: harness(folder()), side="bench", n=N, warm_up=0)
    for name in ("none", "binarize", "median"):
        for kind, sizes in (("fgsm", FGSM), ("pgd", PGD)):
            for eps in sizes:
                assert np.array_equal(outputs["grid"][name, kind, eps], found[name, kind, eps])


def foolbox_pgd(loaded, x, y):
    model = foolbox.PyTorchModel(loaded.classifier.eval(), bounds=(0, 1), device="cpu")
    attack = foolbox.attacks.LinfPGD(abs_stepsize=2.5 * 0.3 / 40, steps=40, random_start=False)
    return attack(model, x, y, epsilons=0.3)[1]


@pytest.mark.benchmark(group="one PGD-40")
def test_foolbox(loaded, measure, outputs):
    x, y = loaded.images(N)
    outputs["foolbox"] = measure(lambda: foolbox_pgd(loaded, x, y), side="foolbox", n=N)


@pytest.mark.benchmark(group="one PGD-40")
def test_bench_guard(loaded, measure, outputs):
    from purification_bench.attacks import guard
    from purification_bench.benchmark.registries import ATTACKS

    x, y = loaded.images(N)
    attack = ATTACKS.create("pgd[random_start=false]")
    (x_adv,) = measure(lambda: guard.run(attack, loaded.classifier, x, y, [0.3], [0]), side="bench", n=N)
    with torch.no_grad():
        broken = [loaded.classifier(each).argmax(dim=1) != y for each in (x_adv, outputs["foolbox"])]
    assert (broken[0] == broken[1]).float().mean() > 0.97
