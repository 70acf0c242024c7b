"""How time and memory grow: with images, restarts and steps, draws; and what the harness itself takes."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from filled import fill, flags_of, plan_of

from purification_bench.attacks import guard, views
from purification_bench.benchmark.registries import ATTACKS
from purification_bench.leaderboard.results.store import Store


@pytest.mark.benchmark(group="growth: images (FGSM)")
@pytest.mark.parametrize("n", [50, 100, 200, 400])
def test_images(n, loaded, measure):
    x, y = loaded.images(n)
    attack = ATTACKS.create("fgsm")
    measure(lambda: guard.run(attack, loaded.classifier, x, y, [0.3], [0]), side=str(n), n=n)


@pytest.mark.benchmark(group="growth: steps x restarts (Defense-GAN, one image)")
@pytest.mark.parametrize(("steps", "restarts"), [(10, 5), (10, 10), (20, 10), (40, 10)])
def test_descents(steps, restarts, loaded, measure):
    defense, x = loaded.defense(f"defensegan[steps={steps},restarts={restarts}]"), loaded.images(1)[0]
    measure(lambda: defense.purify(x), side=f"{steps}x{restarts}", n=steps * restarts)


@pytest.mark.benchmark(group="growth: draws averaged (FGSM through puvae, 10 images)")
@pytest.mark.parametrize("draws", [1, 2, 4, 8])
def test_draws(draws, loaded, measure):
    x, y = loaded.images(10)
    view = views.view("whitebox", loaded.classifier, loaded.defense("puvae"))
    attack = ATTACKS.create("fgsm")
    measure(lambda: guard.run(attack, view, x, y, [0.3], [0], draws), side=str(draws), n=draws)


def command(*words: str) -> None:
    subprocess.run([sys.executable, "-m", "purification_bench", *words], check=True, stdout=subprocess.DEVNULL)


@pytest.fixture(scope="module", params=[5, 10, 20])
def filled(request, tmp_path_factory):
    """A folder with 51 results for each of some defenses."""
    store, planned = Store(tmp_path_factory.mktemp("filled")), plan_of(request.param)
    fill(store, planned)
    flags = flags_of(request.param)
    config = store.root / "config.toml"
    config.write_text("references = []\n")
    words = ["run", "--config", str(config), "--dataset", "mnist", "--classifier", "model_a", "--no-latency"]
    words += ["--defenses", ",".join(flags["defenses"]), "--attacks", ",".join(flags["attacks"])]
    words += ["--threat", "graybox", "--eps", ",".join(map(str, flags["eps"])), "-n", "1000", "--out", str(store.root)]
    command(*words)  # writes the page
    return len(planned.cells), store.root, words


@pytest.mark.benchmark(group="the harness: bench run with nothing to do")
def test_nothing_to_do(filled, measure):
    cells, _, words = filled
    measure(lambda: command(*words), side=f"{cells} cells", n=cells)


@pytest.mark.benchmark(group="the harness: bench report")
def test_report(filled, measure):
    cells, root, _ = filled
    measure(lambda: command("report", str(root)), side=f"{cells} cells", n=cells)


@pytest.mark.benchmark(group="the harness: from the command to the first cell")
def test_first_cell(measure, tmp_path_factory):
    def first() -> None:
        root = tmp_path_factory.mktemp("first")
        words = ("run", "--dataset", "mnist", "--attacks", "fgsm", "--eps", "0.3", "--no-latency", "-n", "1000")
        child = subprocess.Popen([sys.executable, "-m", "purification_bench", *words, "--out", str(root)])
        while not any((root / "cells").glob("*.json")):
            os.sched_yield()
        child.kill()
        child.wait()

    measure(first, side="first cell", n=1)


MEASURED = """
import resource, sys
from purification_bench.benchmark import cli
cli.main(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, file=sys.stderr)
"""


@pytest.mark.benchmark(group="growth: images, with peak memory (bench run, FGSM)")
@pytest.mark.parametrize("n", [250, 1000])
def test_memory(n, measure, tmp_path_factory, benchmark):
    def run() -> int:
        words = ["run", "--dataset", "mnist", "--attacks", "fgsm", "--eps", "0.3", "--no-latency", "-n", str(n)]
        words += ["--defenses", "binarize", "--out", str(tmp_path_factory.mktemp("memory"))]
        child = subprocess.run([sys.executable, "-c", MEASURED, *words], check=True, capture_output=True, text=True)
        return int(child.stderr.split()[-1])

    benchmark.extra_info["peak_mib"] = measure(run, rounds=3, side=f"{n} images", n=n)
