"""Defenses that reject: how that is judged, audited and told."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from conftest import PLUGINS
from make_boards import board_of, cell
from make_results import result
from shown import headers, rows

from purification_bench import load
from purification_bench.benchmark.run.judge import Judge
from purification_bench.defenses import Defense
from purification_bench.defenses.checked import DefenseError
from purification_bench.leaderboard.judging import audit
from purification_bench.leaderboard.judging.layout import lay_out
from purification_bench.leaderboard.showing.tables.rejections import rejections


class Refuses(Defense):
    """Passes all images on but those that are bright on the left."""

    answer = None

    def purify(self, x):
        return x

    def rejects(self, x):
        return x[:, :, :, :8].mean(dim=(1, 2, 3)) > 0.5 if self.answer is None else self.answer


def judged(shapes, defense):
    images, classifier = shapes
    return Judge(defense, classifier, "it", False, 1, 0, 16, torch.device("cpu")).judge(images.x, images.y)


def test_a_rejected_image_is_not_right(shapes):
    images, classifier = shapes
    refused = Refuses().rejects(images.x)
    right = (classifier(images.x).argmax(dim=1) == images.y) & ~refused
    judgement = judged(shapes, Refuses())
    assert (judgement.verdicts.reported.astype(bool) == right.numpy()).all()
    assert judgement.rejected == pytest.approx(float(refused.float().mean()))
    assert 0 < judgement.rejected < 1


def test_what_rejects_does_to_its_input_stays_with_it(shapes):
    class Writes(Refuses):
        def rejects(self, x):
            return super().rejects(x.zero_())

    before = shapes[0].x.clone()
    judged(shapes, Writes())
    assert torch.equal(shapes[0].x, before)


def test_what_rejects_returns_is_checked(shapes):
    defense = Refuses()
    defense.answer = torch.zeros(3)
    with pytest.raises(DefenseError, match=r"torch.float32 of shape \(3,\), not bool of shape \(16,\)"):
        judged(shapes, defense)


def test_the_page_tells_rejections_from_wrong_answers():
    clean = {"clean": np.ones(4), "adversarial": np.array([1, 0, 0, 0])}
    probes = {"rejected_share": 0.5, "rejected_clean_share": 0.25}
    (board,) = lay_out([result("it", clean=np.ones(4)), result("it", "pgd", 0.3, probes=probes, **clean)])
    table = rejections(board)
    assert headers(table) == ["defense", "attack", "rejected, clean", "rejected", "right", "n"]
    assert rows(table) == [["it", "pgd", "25.0", "50.0", "25.0 [4.6, 69.9]", "4"]]
    (without,) = lay_out([result("it", clean=np.ones(4)), result("it", "pgd", 0.3, **clean)])
    assert rejections(without) is None


RUN = (
    "--plugin", PLUGINS / "careful.py", "--plugin", PLUGINS / "shapes.py", "--dataset", "shapes",
    "--classifier", "matched", "--no-latency", "-n", "40",
)  # fmt: skip


@pytest.mark.parametrize("grid", ["--full-grid", "--worst-case"])
def test_what_is_refused_always_is_never_right_under_any_threat(grid, bench, tmp_path):
    words = ("--defenses", "careful,refuser", "--attacks", "fgsm,pgd[steps=3]", "--eps", "0.1,0.3", "--draws", "1")
    threats = ("--threat", "graybox,bpda,whitebox,fixed-seed")
    status, out, err = bench("run", *RUN, *words, *threats, "--eot-samples", "1", grid)
    assert status == 0, out + err
    results = [r for r in load(tmp_path / "results") if r.defense == "refuser" and r.attack]
    assert {r.declared.threat.word for r in results} == {"graybox", "bpda", "whitebox", "fixed-seed"}
    assert all(not r.means.any() for r in results)
    full = [r.probes.get("rejected_share") for r in results if r.met.all() and not r.partial]
    assert set(full) == {1.0}


def test_attacks_on_what_rejects_are_not_held_against_each_other():
    probes = {"rejected_share": 0.5, "rejected_clean_share": 0.0}
    cells = [cell("fgsm", 0.3, 10, probes=probes), cell("pgd", 0.3, 60, probes=probes), cell("pgd", 0.3, 40, "bare")]
    found = {finding.check: finding for finding in audit.audit(*board_of(*cells))}
    assert found["iterative beats single-step"].state == found["seeing the purifier helps"].state == "not run"
    assert "its detector rejects" in found["seeing the purifier helps"].evidence


def test_a_plain_class_may_reject_and_a_run_tells(bench, small_config, tmp_path):
    words = ("--defenses", "careful", "--attacks", "fgsm", "--eps", "0.1")
    status, *_ = bench("run", "--config", small_config, *RUN, *words)
    assert status == 0
    page = (tmp_path / "results" / "README.md").read_text()
    assert "#### Rejected images at 0.1" in page
