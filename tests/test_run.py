"""``bench run``, end to end: resume, force, failures, kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import BROKEN, SMALL_RUN

from purification_bench.benchmark.run import config
from purification_bench.benchmark.run.missing import put_edition
from purification_bench.benchmark.run.plan import plan
from purification_bench.leaderboard.results.store import Store

BENCH = (sys.executable, "-m", "purification_bench.benchmark.cli")
TIMINGS = ("seconds", "created")


def results_of(folder: Path) -> dict[str, dict]:
    """Every accuracy result by file name, without what timing and the clock put in."""
    found = {}
    for path in sorted((folder / "cells").glob("*.json")):
        row = json.loads(path.read_text())
        found[path.name] = {name: value for name, value in row.items() if name not in TIMINGS}
    return found


@pytest.fixture
def run(bench, small_config):
    def call(*more):
        return bench("run", "--config", small_config, *SMALL_RUN, *more)

    return call


@pytest.mark.pictures
def test_a_run_writes_the_leaderboard(run, tmp_path):
    status, out, _ = run()
    assert status == 0
    page = (tmp_path / "results" / "README.md").read_text()
    for name in ("none", "binarize", "median"):
        assert f"`{name}`" in page
        assert name in out
    assert "results/README.md" in out
    assert len(results_of(tmp_path / "results")) == 3 * (1 + 3 * 2)
    assert "bench run --plugin shapes.py --config small.toml --dataset shapes --classifier matched" in page
    assert str(tmp_path) not in page
    for suffix in ("svg", "png"):
        assert (tmp_path / "results" / "figures" / f"curves-shapes-matched-seed0.{suffix}").stat().st_size > 1000
    assert (tmp_path / "results" / "figures" / "gallery-shapes-matched-seed0.png").is_file()


def test_the_gallery_is_whole_where_batches_are_small(run, small_config, tmp_path):
    small_config.write_text(small_config.read_text().replace("batch_size = 16", "batch_size = 4"))
    run()
    kept = [np.load(path) for path in (tmp_path / "results" / "examples").glob("*.npz")]
    assert kept
    assert {len(images) for one in kept for images in one.values()} == {8}


def test_the_same_command_again_computes_nothing(run):
    run()
    status, out, _ = run()
    assert status == 0
    assert "0 cells computed, 21 kept" in out


def test_force_computes_everything_anew_to_the_same_bits(run, tmp_path):
    run()
    before = results_of(tmp_path / "results")
    _, out, _ = run("--force")
    assert "21 cells computed, 0 kept" in out
    assert results_of(tmp_path / "results") == before


def test_force_writes_over_nothing_of_a_later_version(run, tmp_path):
    run("--attacks", "noise")
    path = min((tmp_path / "results" / "cells").glob("*.json"))
    path.write_text(later := path.read_text().replace('"schema": 4', '"schema": 5'))
    status, _, err = run("--attacks", "noise", "--force")
    assert status == 2 and path.name in err and "schema 5" in err
    assert path.read_text() == later


def test_a_larger_grid_computes_only_what_is_new(run, tmp_path):
    run("--eps", "0.1")
    before = results_of(tmp_path / "results")
    _, out, _ = run()
    assert "9 cells computed, 12 kept" in out
    after = results_of(tmp_path / "results")
    assert {name: after[name] for name in before} == before


def test_a_lost_adversarial_set_is_made_again_to_the_same_bits(run, tmp_path):
    run()
    before = results_of(tmp_path / "results")
    for path in (tmp_path / "results" / "adversarial").iterdir():
        path.write_bytes(path.read_bytes()[:-10])
    for path in (tmp_path / "results" / "cells").glob("*pgd*"):
        path.unlink()
    status, _, err = run()
    assert status == 0
    assert "set aside" in err
    assert results_of(tmp_path / "results") == before


def test_a_corrupt_result_is_set_aside_and_computed_again(run, tmp_path):
    run()
    before = results_of(tmp_path / "results")
    broken = next((tmp_path / "results" / "cells").glob("*median-fgsm*"))
    broken.write_text("{")
    status, out, err = run()
    assert status == 0
    assert "1 cells computed, 20 kept" in out
    assert f"{broken.name}.corrupt" in err
    assert results_of(tmp_path / "results") == before


def test_broken_defenses_are_error_rows_and_the_rest_is_complete(run, tmp_path):
    reasons = {
        "raises": "RuntimeError: the purifier is out of order",
        "crops": "shape (16, 3, 32, 31)",
        "nans": "NaN or infinite values in 1 of 16 images",
        "brightens": "values outside [0, 1]: from",
        "unmakeable": "no such thing",
        "shrugs": "returned NoneType",
    }
    status, out, _ = run("--plugin", BROKEN, "--defenses", ",".join(reasons))
    assert status == 1
    assert f"{7 * len(reasons)} failed cells" in out
    rows = results_of(tmp_path / "results").values()
    for name, reason in reasons.items():
        errors = [row["error"] for row in rows if row["identity"]["defense"]["label"] == name]
        assert len(errors) == 7
        assert all(reason in error for error in errors)
    assert sum(row["status"] == "ok" for row in rows) == 21
    page = (tmp_path / "results" / "README.md").read_text()
    assert "42 failed cells" in page
    assert "the purifier is out of order" in page


def test_failed_cells_are_tried_again(run):
    run("--plugin", BROKEN, "--defenses", "raises")
    _, out, _ = run("--plugin", BROKEN, "--defenses", "raises")
    assert "7 cells computed, 21 kept" in out


def test_a_failing_defense_is_not_timed_but_said_to_fail(bench, small_config, tmp_path):
    words = [word for word in SMALL_RUN if word != "--no-latency"]
    status, *_ = bench("run", "--config", small_config, *words, "--plugin", BROKEN, "--defenses", "raises")
    assert status == 1
    rows = results_of(tmp_path / "results").values()
    timed = {r["identity"]["defense"]["label"]: r for r in rows if r["identity"]["kind"] == "latency"}
    assert timed["raises"]["status"] == "error"
    assert timed["none"]["latency"]["single"]["end_to_end"]["calls"] >= 20
    assert timed["none"]["latency"]["offline"]["images_per_second"] > 0


FICKLE = """
from purification_bench import Defense, register_defense
from purification_bench import register_attack
from purification_bench.attacks.base import Attack


@register_defense("batches-only")
class BatchesOnly(Defense):
    def purify(self, x):
        if len(x) == 1:
            raise RuntimeError("batch of one")
        return x


@register_attack("small-only")
class SmallOnly(Attack):
    def perturb(self, model, x, y, eps):
        if eps > 0.2:
            raise RuntimeError("too large for me")
        return (x + eps).clamp(0, 1)
"""


def test_one_failure_takes_nothing_else_along(bench, small_config, tmp_path):
    """A defense that cannot be timed, and an attack that fails at one size."""
    (tmp_path / "fickle.py").write_text(FICKLE)
    words = [word for word in SMALL_RUN if word != "--no-latency"]
    status, *_ = bench(
        "run", "--config", small_config, *words, "--plugin", "fickle.py", "--defenses", "batches-only",
        "--attacks", "small-only",
    )  # fmt: skip
    assert status == 1
    errors = [row for row in results_of(tmp_path / "results").values() if row["status"] == "error"]
    timed = [row["identity"]["defense"]["label"] for row in errors if row["identity"]["kind"] == "latency"]
    assert timed == ["batches-only"]
    attacked = {row["identity"]["attack"]["threat"]["eps"] for row in errors if row["identity"]["kind"] == "accuracy"}
    assert attacked == {0.3}
    assert all("batch of one" in row["error"] or "too large for me" in row["error"] for row in errors)


def test_an_edited_plugin_is_computed_anew_and_its_old_row_is_gone(bench, small_config, tmp_path):
    plugin = tmp_path / "mine.py"
    text = (
        "from purification_bench import Defense, register_defense\n\n@register_defense('mine')\nclass Mine(Defense):\n"
    )
    plugin.write_text(text + "    def purify(self, x):\n        return x * 0\n")
    words = ("run", "--config", small_config, *SMALL_RUN, "--plugin", plugin, "--defenses", "mine")
    words += ("--attacks", "noise", "--out", tmp_path / "results")
    assert bench(*words)[0] == 0
    plugin.write_text(text + "    def purify(self, x):\n        return x\n")
    done = subprocess.run([*BENCH, *map(str, words), "-n", "20"], check=True, capture_output=True, text=True)
    assert "0 kept" in done.stdout
    page = (tmp_path / "results" / "README.md").read_text()
    (row,) = [line for line in page.splitlines() if line.startswith("| —") and "`mine`" in line]
    assert "100.0" in row


def test_mixed_numbers_of_images_make_one_page(run, tmp_path):
    assert run("-n", "40")[0] == 0
    assert run("-n", "4", "--defenses", "median[size=5]")[0] == 0
    assert "`median[size=5]`" in (tmp_path / "results" / "README.md").read_text()


def test_the_progress_bar_lives_on_while_an_attack_has_the_output(capsys):
    """The guard redirects sys.stdout; the screen was opened on the real one."""
    import contextlib
    import io

    from rich.console import Console

    screen = Console(file=sys.stdout)
    with contextlib.redirect_stdout(io.StringIO()):
        screen.print("still here")
    assert "still here" in capsys.readouterr().out


def test_with_nothing_to_do_the_page_stays_until_something_is_newer(run, tmp_path):
    run()
    page, about = tmp_path / "results" / "README.md", tmp_path / "results" / "about.md"
    written = page.stat().st_mtime_ns
    assert "0 cells computed" in run()[1]
    assert page.stat().st_mtime_ns == written
    about.write_text("# Mine\n")
    os.utime(about, ns=(written + 10**9, written + 10**9))
    run()
    assert "# Mine" in page.read_text()


def test_results_that_are_kept_are_told_of_the_edition_that_asks_for_them(run, small_config, tmp_path):
    run()
    flags = {"datasets": ["shapes"], "classifiers": ["matched"], "attacks": ["fgsm", "noise"], "eps": [0.3], "n": 40}
    asked = config.load("quick", small_config, {**flags, "latency": False})
    machine = {"device": "cpu", "device_name": "a processor", "threads": 1}
    for edition, written in (("quick 1", "quick 1"), ("other 1", "quick 1"), ("quick 2", "quick 2")):
        put_edition(plan(replace(asked, edition=edition), machine), Store(tmp_path / "results"))
        found = [row["facts"].get("edition") for row in results_of(tmp_path / "results").values()]
        assert (found.count(written), found.count(None)) == (9, 12)


def test_a_dry_run_writes_nothing(run, tmp_path):
    status, out, _ = run("--dry-run")
    assert status == 0
    assert "21 of 21 cells to compute on cpu: " in out
    assert not (tmp_path / "results").exists()


def test_several_datasets_in_one_run(bench, small_config, tmp_path):
    status, *_ = bench(
        "run", "--config", small_config, *SMALL_RUN, "--dataset", "mnist", "--classifier", "model_a",
        "--attacks", "fgsm", "--eps", "0.1", "-n", "8",
    )  # fmt: skip
    assert status == 0
    assert any(name.startswith("mnist-model_a-none-fgsm_0.1") for name in results_of(tmp_path / "results"))


def test_killed_in_the_middle_it_resumes_to_the_same_bits(bench, small_config, tmp_path):
    words = ("run", "--config", small_config, *SMALL_RUN, "-n", "200", "--attacks", "fgsm,pgd[steps=30],noise")

    def cells(out: Path) -> int:
        return len(list((out / "cells").glob("*.json"))) if out.exists() else 0

    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert bench(*words, "--out", whole)[0] == 0
    process = subprocess.Popen([*BENCH, *words, "--out", cut], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while cells(cut) < 5 and process.poll() is None:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert 5 <= cells(cut) < cells(whole), "the run was not killed in the middle"
    status, out, _ = bench(*words, "--out", cut)
    assert status == 0
    assert " 0 cells computed" not in out
    assert results_of(cut) == results_of(whole)


def test_interrupted_it_leaves_a_store_that_resumes(run, tmp_path, monkeypatch):
    from purification_bench.attacks import guard

    original, calls = guard.run, []

    def interrupted(*args):
        calls.append(1)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return original(*args)

    monkeypatch.setattr(guard, "run", interrupted)
    status, _, err = run()
    assert status == 130
    assert "the same command goes on from here" in err
    kept = len(results_of(tmp_path / "results"))
    assert kept > 3
    monkeypatch.setattr(guard, "run", original)
    _, out, _ = run()
    assert f"{21 - kept} cells computed, {kept} kept" in out
