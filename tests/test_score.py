"""Adversarial images go out as files, and come back as a score."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import SHAPES, SMALL_RUN
from markdown_it import MarkdownIt

from purification_bench.attacks.submitted import Submission
from purification_bench.benchmark.registries import DATASETS
from purification_bench.leaderboard.judging.aggregate import robust_accuracy
from purification_bench.leaderboard.judging.layout import lay_out
from purification_bench.leaderboard.results.store import Store

EPS = 0.3
PLACE = ("--plugin", SHAPES, "--defenses", "median", "--classifier", "matched")


@pytest.fixture
def inverted(tmp_path):
    """The strongest set there is: every image becomes its successor of another class."""
    x = DATASETS.create("shapes").judged(40).x
    return Submission("inverted", "shapes", "linf", 1.0, x.roll(1, dims=0).contiguous())


def test_what_is_exported_scores_as_it_did(bench, small_config, tmp_path):
    bench("run", "--config", small_config, *SMALL_RUN)
    status, out, _ = bench("export-adv", "results", "sets")
    assert (status, out) == (0, "sets: 6 files\n")
    (exported,) = (tmp_path / "sets").glob("shapes-matched-pgd_steps_4-0.3-bare-*.npz")
    status, out, _ = bench("score", exported, *PLACE, "--out", "scored")
    assert status == 0
    attacked, scored = (
        {r.defense: r.adversarial for r in Store(tmp_path / place).results() if r.attack == name and r.eps == 0.3}
        for place, name in (("results", "pgd[steps=4]"), ("scored", f"submitted[{exported.stem}]"))
    )
    for defense in ("none", "median", "binarize"):
        assert np.array_equal(attacked[defense].reported, scored[defense].reported)


def test_a_set_that_breaks_a_row_lowers_it(bench, small_config, tmp_path, inverted):
    run = ("run", "--config", small_config, *SMALL_RUN, "--threat", "graybox,bpda,whitebox", "--eps", f"{EPS}")
    bench(*run)
    (board,) = lay_out(Store(tmp_path / "results").results())
    row = board.rows["median"]
    before = robust_accuracy(row, board.headline(row, EPS)).value
    x = DATASETS.create("shapes").judged(40).x
    nearer = (x + (inverted.x_adv - x).clamp(-EPS, EPS)).clamp(0, 1)
    Submission("nearer", "shapes", "linf", EPS, nearer).write(tmp_path / "nearer.npz")
    assert bench("score", "nearer.npz", *PLACE)[0] == 0
    (board,) = lay_out(Store(tmp_path / "results").results())
    row = board.rows["median"]
    assert any(column.threat.word == "submitted" for column in board.headline(row, EPS))
    assert robust_accuracy(row, board.headline(row, EPS)).value < before


def test_another_class_in_the_whole_box_breaks_everything(bench, tmp_path, inverted):
    inverted.write(tmp_path / "set.npz")
    assert bench("score", "set.npz", *PLACE)[0] == 0
    (result,) = [r for r in Store(tmp_path / "results").results() if r.defense == "none" and r.attack]
    assert int(result.adversarial.reported.sum()) <= 20


def _written(folder, x_adv, **facts):
    facts = {"name": "it", "dataset": "shapes", "norm": "linf", "eps": 0.1, **facts}
    np.savez(folder / "it.npz", x_adv=x_adv, facts=np.array(json.dumps(facts)))


CLEAN = torch.zeros(40, 3, 32, 32).numpy()


@pytest.mark.parametrize(
    ("x_adv", "facts", "message"),
    [
        (CLEAN, {}, "it: Submitted left the linf ball"),
        (CLEAN + 2, {}, "it: Submitted left the box"),
        (CLEAN[:, :1], {}, "x_adv has shape (40, 1, 32, 32) where (40, 3, 32, 32) is meant"),
        (CLEAN.astype(np.float64), {}, "must be float32 (n, C, H, W), not torch.float64"),
        (CLEAN, {"eps": 0}, "eps in (0, 1], not 'linf' 0"),
        (CLEAN, {"dataset": "shape"}, "unknown dataset 'shape'; did you mean 'shapes'?"),
    ],
)
def test_images_that_break_the_rules_are_refused_in_one_line(bench, tmp_path, x_adv, facts, message):
    _written(tmp_path, x_adv, **facts)
    status, _, err = bench("score", "it.npz", *PLACE)
    assert status == 2
    assert err.count("\n") == 1
    assert message in err
    assert not (tmp_path / "results").exists()


def test_what_is_no_such_file_is_refused(bench, tmp_path):
    (tmp_path / "it.npz").write_text("nothing of the kind")
    status, _, err = bench("score", "it.npz", *PLACE)
    assert status == 2
    assert "'it.npz' is no file of adversarial images" in err
    assert bench("export-adv", ".", "sets")[0] == 2


HOSTILE = "<b>|x](http://e)`"


def test_a_set_with_a_hostile_name_is_text_on_the_page(bench, tmp_path, inverted):
    """Whoever sends a file in chooses its name, which stands in tables, headings and links of the page."""
    replace(inverted, name=HOSTILE).write(tmp_path / "theirs.npz")
    assert bench("score", "theirs.npz", *PLACE)[0] == 0
    page = (tmp_path / "results" / "README.md").read_text()
    blocks = MarkdownIt("commonmark").enable("table").parse(page)
    inline = [child for block in blocks if block.type == "inline" for child in block.children]
    assert "<b>" not in {child.content for child in inline if child.type == "html_inline"}
    assert not any("//e" in child.attrGet("href") for child in inline if child.type == "link_open")
    assert any(HOSTILE in "".join(c.content for c in block.children) for block in blocks if block.type == "inline")
