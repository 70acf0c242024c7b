"""What a CUDA device adds, in at most eight minutes: ``make gpu-check``.

Runs the tests marked ``cuda``, a small grid on both devices, whose verdicts must agree within the interval, and times
Defense-GAN on both. Writes ``leaderboard/performance/gpu.md``. Status 1 where something disagrees.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

import purification_bench as pb
from purification_bench.benchmark.environment import describe, synchronise
from purification_bench.leaderboard.judging.statistics import estimate

FOLDER = Path(__file__).resolve().parents[2] / "leaderboard" / "performance"
N = 200
DEFENSES = ["cae", "cae[latent_dim=32,noise=0.1]", "puvae"]


def grid(device: str) -> tuple[dict[tuple[str, str, str, float], np.ndarray], float]:
    """Return each cell's per-image means, and the seconds that all took."""
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        asked = {"datasets": "mnist", "defenses": DEFENSES, "threats": ["graybox", "whitebox"], "eps": ["mark"]}
        asked |= {"attacks": ["fgsm", "pgd[steps=10]"], "n": N, "draws": 2, "eot_samples": 2, "latency": False}
        results = pb.run(**asked, device=device, out=folder, progress=False).results
    means = {(r.defense, r.attack or "clean", r.declared.threat.word, r.eps): r.means for r in results if r.attack}
    return means, time.perf_counter() - begun


def projection(device: str) -> float:
    """Return the median seconds of Defense-GAN's projection of 64 images."""
    defense = pb.load_defense("defensegan", "mnist", device=device)
    x, spent = torch.rand(64, 1, 28, 28, device=device), []
    with torch.no_grad():
        for _ in range(4):
            synchronise(torch.device(device))
            begun = time.perf_counter()
            defense.purify(x)
            synchronise(torch.device(device))
            spent.append(time.perf_counter() - begun)
    return statistics.median(spent[1:])


def disagreements(first: dict, second: dict) -> list[str]:
    """Name the cells whose accuracies on two devices lie outside each other's interval."""
    found = []
    for cell, means in first.items():
        one, other = estimate(means), estimate(second[cell])
        if not (one.low <= other.value <= one.high or other.low <= one.value <= other.high):
            found.append(f"{' '.join(map(str, cell))}: {100 * one.value:.1f} and {100 * other.value:.1f} %")
    return found


def main(device: str) -> int:
    """Check ``device`` against the CPU and write what it took."""
    tests = subprocess.run([sys.executable, "-m", "pytest", "-q", "-m", "cuda", "tests"], check=False).returncode
    (here, slow), (there, fast) = grid("cpu"), grid(device)
    wrong = disagreements(here, there)
    named = describe(device)["device_name"]
    lines = [
        f"# CPU and {named}",
        f"`make gpu-check`, {N} images of MNIST, torch {torch.__version__}.",
        f"| | CPU (s) | {named} (s) | times as fast |\n|:--|--:|--:|--:|\n"
        f"| {len(here)} cells, gray-box and white-box | {slow:.1f} | {fast:.1f} | {slow / fast:.1f} |",
    ]
    one, other = projection("cpu"), projection(device)
    lines[-1] += f"\n| Defense-GAN, 64 images | {one:.2f} | {other:.3f} | {one / other:.1f} |"
    lines.append(f"{len(here) - len(wrong)} of {len(here)} cells agree within the interval. {'; '.join(wrong)}".strip())
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / ("gpu.md" if device == "cuda" else "check.md")).write_text("\n\n".join(lines) + "\n", encoding="utf-8")
    print("\n\n".join(lines))
    return 1 if wrong or tests not in (0, 5) else 0


if __name__ == "__main__":
    chosen = sys.argv[1] if len(sys.argv) > 1 else "cuda"
    if chosen == "cuda" and not torch.cuda.is_available():
        sys.exit("make gpu-check: this machine has no CUDA device that torch can use")
    sys.exit(main(chosen))
