"""What a result was computed with: device, versions, threads. torch is loaded only where it must be asked."""

from __future__ import annotations

import ctypes
import importlib.metadata
import os
import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from purification_bench.benchmark.memo import MEMO
from purification_bench.defenses.errors import UserError

if TYPE_CHECKING:
    import torch

DRIVERS = {"win32": "nvcuda.dll", "linux": "libcuda.so.1"}
"""The library that a CUDA device cannot be used without, by platform."""
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
"""What tells torch how many threads to use."""


def device_word(name: str) -> str:
    """Return ``cpu`` or ``cuda`` for ``auto``, ``cpu`` or ``cuda``; raise ``UserError`` where it is not there."""
    if name not in ("auto", "cpu", "cuda"):
        raise UserError(f"unknown device {name!r}. Valid: auto, cpu, cuda")
    if name == "cpu" or (name == "auto" and not _has_cuda()):
        return "cpu"
    if not _has_cuda():
        raise UserError("--device cuda: this machine has no CUDA device that torch can use. Valid here: auto, cpu")
    return "cuda"


def _has_cuda() -> bool:
    """Say whether torch can use a CUDA device; where there is no driver, torch need not be asked."""
    if "torch" not in sys.modules:
        try:
            ctypes.CDLL(DRIVERS.get(sys.platform, ""))
        except OSError:
            return False
    import torch

    return torch.cuda.is_available()


def pick_device(name: str) -> torch.device:
    """Return the device for ``auto``, ``cpu`` or ``cuda``; raise ``UserError`` where it is not there.

    On CUDA, convolutions are from now on computed in full float32, and the same each time.
    """
    word = device_word(name)
    import torch

    if word == "cuda":
        torch.backends.cudnn.deterministic = True
        torch.backends.cudnn.allow_tf32 = False
    return torch.device(word)


def synchronise(device: torch.device) -> None:
    """Wait for the work given to ``device``, so that a clock read next counts it."""
    if device.type == "cuda":
        import torch

        torch.cuda.synchronize(device)


def versions() -> dict[str, str]:
    """Return the versions that results depend on."""
    packages = ("purification-bench", "torch", "torchvision", "torchattacks", "numpy", "scipy")
    found = {name: importlib.metadata.version(name) for name in packages}
    return {"python": platform.python_version(), **found}


def describe(device: str) -> dict[str, Any]:
    """Return the machine and the versions, for results; ``device`` is ``cpu`` or ``cuda``."""
    return {
        "device": device,
        "device_name": _gpu() if device == "cuda" else _processor(),
        "threads": _threads(),
        "system": platform.system(),
        "versions": versions(),
    }


def _gpu() -> str:
    import torch

    return torch.cuda.get_device_name()


def _threads() -> int:
    """Return the threads that torch uses: as it says, or as it said when it was last asked under the same settings."""

    def ask() -> int:
        import torch

        return torch.get_num_threads()

    if "torch" in sys.modules:
        return ask()
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    asked = {name: os.environ.get(name) for name in THREADS}
    return MEMO.of_machine(f"threads of {there} x {_processor()}, {asked}", int, ask)


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
