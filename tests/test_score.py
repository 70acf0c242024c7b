"""Adversarial images go out as files, and come back as a score."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import SHAPES, SMALL_RUN
from markdown_it import MarkdownIt

from purification_bench.attacks.submitted import Submission
from purification_bench.benchmark.assets.data import stratified_order
from purification_bench.benchmark.registries import DATASETS
from purification_bench.leaderboard.judging.aggregate import robust_accuracy, robust_means
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
        (CLEAN, {}, "it: left the linf ball"),
        (CLEAN + 2, {}, "it: left the box"),
        (CLEAN[:, :1], {}, "x_adv has shape (40, 1, 32, 32) where (40, 3, 32, 32) is meant"),
        (CLEAN[:0], {}, "x_adv holds no image"),
        (CLEAN.astype(np.float64), {}, "must be float32 or float16 (n, C, H, W), not torch.float64"),
        (CLEAN, {"eps": 0}, "eps must lie in (0, 1], not 0"),
        (CLEAN, {"eps": "0.3"}, "eps must be a number, not '0.3'"),
        (CLEAN, {"norm": "l2", "eps": -1}, "eps must lie in (0, inf), not -1"),
        (CLEAN, {"norm": "l1"}, "norm must be linf or l2, not 'l1'"),
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


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"index": np.arange(39)}, "index must be whole numbers (40,), not torch.int64 (39,)"),
        ({"index": np.arange(40) / 2}, "index must be whole numbers (40,), not torch.float64 (40,)"),
        ({"index": np.zeros(40, int)}, "index names an image twice"),
        ({"index": np.arange(40) + 990}, "index must lie between 0 and "),
        ({"labels": np.full(40, 9)}, "it: 40 labels are not those of the data set: 9 of image 0, which is "),
    ],
)
def test_an_index_or_labels_that_do_not_fit_are_told(bench, tmp_path, more, message):
    facts = {"name": "it", "dataset": "shapes", "norm": "linf", "eps": 1.0}
    np.savez(tmp_path / "it.npz", x_adv=CLEAN, facts=np.array(json.dumps(facts)), **more)
    status, _, err = bench("score", "it.npz", *PLACE)
    assert status == 2
    assert err.count("\n") == 1
    assert message in err


SOME = [17, 3, 11, 5, 2, 19, 7, 13]


def _subset(places=SOME):
    """Some images of the test split by index, in no order, each made its successor of another class."""
    dataset = DATASETS.create("shapes")
    test = dataset.load("test", None)
    order = stratified_order(test.y, "shapes:test")
    index = order[torch.tensor(places)]
    x = test.x[order].roll(1, dims=0)[order.argsort()]
    return Submission("some", "shapes", "linf", 1.0, x[index].contiguous(), index, test.y[index])


def test_some_images_by_their_index_are_judged_and_no_others(bench, tmp_path):
    some = _subset()
    some.write(tmp_path / "some.npz")
    status, out, _ = bench("score", "some.npz", *PLACE)
    assert status == 0
    assert "some: 8 images, linf up to 1 of 1" in out
    (result,) = [r for r in Store(tmp_path / "results").results() if r.defense == "none"]
    assert result.n == 20 and not result.partial and int(result.met.sum()) == 8
    assert re.search(r"none, matched: \d+\.\d % of 8 images right, 100\.0 % of the same clean", out)
    assert sorted(np.flatnonzero(result.adversarial.before == 0)) == sorted(SOME)
    assert int(result.adversarial.reported.sum()) <= 4
    assert np.array_equal(result.clean.before, result.adversarial.before)


def test_some_images_lower_a_row_by_themselves_alone(bench, small_config, tmp_path):
    bench("run", "--config", small_config, *SMALL_RUN, "--threat", "graybox,bpda,whitebox", "--eps", f"{EPS}")
    (board,) = lay_out(Store(tmp_path / "results").results())
    before = robust_means(board.rows["median"], board.headline(board.rows["median"], EPS))
    some = _subset([*range(11, -1, -1)])
    x = DATASETS.create("shapes").load("test", None).x[some.index]
    replace(some, eps=EPS, x_adv=(x + (some.x_adv - x).clamp(-EPS, EPS)).clamp(0, 1)).write(tmp_path / "some.npz")
    assert bench("score", "some.npz", *PLACE)[0] == 0
    (board,) = lay_out(Store(tmp_path / "results").results())
    after = robust_means(board.rows["median"], board.headline(board.rows["median"], EPS))
    assert len(after) == len(before) == 40
    lowered = set(np.flatnonzero(after < before))
    assert lowered and lowered <= {*range(12)}


def test_half_precision_is_brought_back_to_the_ball(bench, tmp_path):
    x = DATASETS.create("shapes").judged(12).x
    moved = (x + 0.1 * (2 * torch.randint_like(x, 2) - 1)).clamp(0, 1)
    assert float((moved.half().float() - x).abs().max()) > 0.1 + 1e-6
    Submission("half", "shapes", "linf", 0.1, moved, rounded=True).write(tmp_path / "half.npz")
    assert Submission.read(tmp_path / "half.npz").rounded
    status, out, _ = bench("score", "half.npz", *PLACE)
    assert status == 0
    assert "half: 12 images, linf up to 0.1 of 0.1" in out


@pytest.mark.parametrize(("pixel", "message"), [(0.99, "left the linf ball"), (1.2, "left the box")])
def test_half_precision_is_no_leave_to_go_further(bench, tmp_path, pixel, message):
    moved = DATASETS.create("shapes").judged(12).x.clone()
    moved[3, 0, 0, 0] = pixel
    Submission("half", "shapes", "linf", 0.1, moved, rounded=True).write(tmp_path / "half.npz")
    status, _, err = bench("score", "half.npz", *PLACE)
    assert status == 2
    assert f"half: {message}" in err


def test_an_l2_set_is_judged_and_enters_no_linf_worst_case(bench, tmp_path):
    x = DATASETS.create("shapes").judged(12).x
    delta = x.roll(1, dims=0) - x
    within = x + delta * (5 / delta.flatten(1).norm(dim=1).clamp(min=5))[:, None, None, None]
    Submission("far", "shapes", "l2", 5.0, within).write(tmp_path / "far.npz")
    status, out, _ = bench("score", "far.npz", *PLACE)
    assert status == 0
    assert "far: 12 images, l2 up to 5 of 5" in out
    (board,) = lay_out(Store(tmp_path / "results").results())
    assert [column.norm for column in board.columns] == ["l2"]
    assert not board.candidates(5.0, board.columns[0].threat)


def test_of_several_files_none_is_judged_unless_all_keep_the_rules(bench, tmp_path, inverted):
    inverted.write(tmp_path / "good.npz")
    _written(tmp_path, CLEAN)
    assert bench("score", "good.npz", "it.npz", *PLACE)[0] == 2
    assert not (tmp_path / "results").exists()
    replace(inverted, name="again").write(tmp_path / "again.npz")
    status, out, _ = bench("score", "good.npz", "again.npz", "good.npz", *PLACE)
    assert status == 0 and out.count("inverted: ") == 1, "a file that is named twice is judged once"
    names = {r.attack for r in Store(tmp_path / "results").results() if r.attack}
    assert names == {"submitted[inverted]", "submitted[again]"}


def test_foolbox_runs_as_a_plug_in_beside_the_boards_own_attacks(bench, small_config, tmp_path):
    plugin = Path(__file__).parents[1] / "docs" / "second_opinion.py"
    asked = ("--attacks", "foolbox_pgd", "--threat", "whitebox", "--eps", "0.6", "-n", "12", "--no-latency")
    status, _, err = bench("run", "--plugin", plugin, "--config", small_config, *SMALL_RUN[:6], *asked)
    assert status == 0, err
    found = [r for r in Store(tmp_path / "results").results() if r.attack]
    assert {(r.defense, r.attack) for r in found} == {(name, "foolbox_pgd") for name in ("none", "median")}
    assert all(r.adversarial.means.mean() < r.clean.means.mean() for r in found)


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
