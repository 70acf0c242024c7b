"""MagNet: its layers, its thresholds, what it rejects; and how rejections are judged and told."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from conftest import PLUGINS
from make_boards import board_of, cell
from make_results import result
from make_training import make_training
from shown import headers, rows

from purification_bench import load
from purification_bench.benchmark.registries import DEFENSES
from purification_bench.benchmark.run.judge import Judge
from purification_bench.defenses import Defense
from purification_bench.defenses.checked import DefenseError
from purification_bench.leaderboard.judging import audit
from purification_bench.leaderboard.judging.layout import lay_out
from purification_bench.leaderboard.showing.tables.rejections import rejections


def make(shape=(1, 28, 28), **options):
    torch.manual_seed(0)
    defense = DEFENSES.create(DEFENSES.spec("magnet", **options))
    defense.build(shape, 10)
    return defense.eval()


def test_the_auto_encoders_are_the_authors():
    """3x3 convolutions of three maps: [3, average, 3] and its mirror, [3] and its mirror, each ending in the image."""
    defense = make()
    convolutions = [[tuple(m.weight.shape) for m in part.modules() if isinstance(m, torch.nn.Conv2d)]
                    for part in (defense.reformer, defense.second)]  # fmt: skip
    within = (3, 3, 3, 3)
    assert convolutions == [[(3, 1, 3, 3), within, within, within, (1, 3, 3, 3)], [(3, 1, 3, 3), within, (1, 3, 3, 3)]]


@torch.no_grad()
def test_thresholds_give_up_the_share_of_clean_images_that_is_asked_for(mnist):
    x = mnist[0].x
    trained = make()
    trained.errors.copy_(trained._left_of(x))
    for share in (0.0, 0.1, 0.5):
        defense = make(rejects_clean=share)
        defense.load_state_dict(trained.state_dict())
        left = torch.stack([(defense.purify(x) - x).square().mean(dim=(1, 2, 3)),
                            (defense.second(x) - x).abs().mean(dim=(1, 2, 3))])  # fmt: skip
        exceeding = (left > torch.quantile(left, 1 - share, dim=1, keepdim=True)).any(dim=0)
        assert abs(float(defense.rejects(x).float().mean()) - float(exceeding.float().mean())) < 0.02
    assert not make(detect=False).rejects(x).any()


def test_training_rebuilds_and_rejects_noise_more_than_images(shapes):
    defense = make(tuple(shapes[0].x.shape[1:]), rejects_clean=0.1)
    training, errors = make_training(shapes, epochs=40, batch_size=8), []
    report = training.report
    training.report = lambda score, **metrics: (errors.append(metrics["mse"]), report(score, **metrics))
    defense.fit(training)
    assert min(errors) < 0.7 * errors[0]
    noise = torch.rand_like(shapes[0].x)
    assert defense.rejects(noise).float().mean() > 0.9
    assert defense.rejects(shapes[0].x).float().mean() < 0.5


@pytest.mark.parametrize("storage", ["half", "int8"])
def test_thresholds_are_those_of_the_weights_as_they_are_stored(storage, shapes):
    defense = make(tuple(shapes[0].x.shape[1:]), rejects_clean=0.1)
    defense.fit(make_training(shapes, epochs=3, batch_size=8, storage=storage))
    assert bool((defense.errors[:, -1] > defense.errors[:, 0]).all()) and float(defense.errors.min()) > 0
    assert defense.rejects(shapes[0].x).float().mean() < 0.9


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
