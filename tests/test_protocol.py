"""The seed paper's released code as a protocol: no box, 32x32 pixels, a classifier in training mode; rows apart."""

from __future__ import annotations

import pandas as pd
import pytest
import torch
from conftest import PLUGINS
from torch import nn

from purification_bench.attacks import guard
from purification_bench.benchmark.assets.always_training import AlwaysTraining
from purification_bench.benchmark.registries import ATTACKS, CLASSIFIERS, DATASETS
from purification_bench.leaderboard.judging.layout import lay_out
from purification_bench.leaderboard.results.store import Store
from purification_bench.leaderboard.showing.tables.standings import ranked

UNSTEADY = str(PLUGINS / "unsteady.py")
RUN = (
    "--protocol", "as-released", "--classifier", "unsteady", "--dataset", "mnist", "--plugin", UNSTEADY,
    "--attacks", "fgsm_released,pgd_released[steps=4,alpha=0.1]", "--threat", "graybox", "--eps", "0.3", "-n", "20",
    "--defenses", "binarize", "--no-latency",
)  # fmt: skip


@pytest.fixture
def images():
    generator = torch.Generator().manual_seed(0)
    return torch.rand(8, 1, 8, 8, generator=generator), torch.arange(8) % 3


@pytest.fixture
def linear():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 3))


def run(attack, model, images, eps, box=False):
    return guard.run(ATTACKS.create(attack), model, *images, [eps], [0], box=box)[0]


def test_fgsm_released_lowers_the_true_logit(images, linear):
    x, y = images
    weights = linear[1].weight.detach()[y].reshape(x.shape)
    moved = x - 0.5 * weights.sign()
    assert moved.min() < 0 or moved.max() > 1
    assert torch.allclose(run("fgsm_released", linear, images, 0.5), moved.clamp(0, 1))
    assert torch.allclose(run("fgsm_released[clip=false]", linear, images, 0.5), moved)


def test_with_cross_entropy_it_is_fgsm(images, linear):
    released = run("fgsm_released[loss=cross_entropy]", linear, images, 0.3)
    assert torch.allclose(released, run("fgsm", linear, images, 0.3, box=True), atol=1e-6)


def test_with_clipping_pgd_released_is_bim(images, linear):
    released = run("pgd_released[steps=5,alpha=0.04,clip=true]", linear, images, 0.15)
    assert torch.allclose(released, run("bim[steps=5,alpha=0.04]", linear, images, 0.15, box=True), atol=1e-6)


def test_sizes_made_together_are_those_made_alone(images, linear):
    attack = ATTACKS.create("fgsm_released")
    together = guard.run(attack, linear, *images, [0.1, 0.4], [0, 0], box=False)
    assert all(torch.equal(x_adv, run("fgsm_released", linear, images, eps))
               for x_adv, eps in zip(together, (0.1, 0.4), strict=True))  # fmt: skip


def test_nothing_takes_it_out_of_training_mode_and_its_statistics_stay():
    inner = CLASSIFIERS.create("conv8", (1, 32, 32), 10)
    inner.spec = CLASSIFIERS.spec("conv8")
    steady, before = AlwaysTraining(inner.eval()), {k: v.clone() for k, v in inner.state_dict().items()}
    assert steady.training and inner.training
    assert steady.eval().training and inner.training
    x = torch.rand(4, 1, 32, 32)
    with guard.eval_mode(steady):
        assert not torch.equal(steady(x), steady(x))
    assert not torch.equal(steady(x), steady(x)), "verdicts are in training mode too"
    assert all(torch.equal(value, before[name]) for name, value in inner.state_dict().items())


def test_conv8_is_the_released_codes():
    model = CLASSIFIERS.create("conv8", (1, 28, 28), 10).eval()
    widths = [m.out_channels for m in model.modules() if isinstance(m, nn.Conv2d)]
    assert widths == [64, 64, 128, 128, 256, 256, 512, 512]
    assert [m.out_features for m in model.modules() if isinstance(m, nn.Linear)] == [4096, 4096, 10]
    assert model(torch.rand(2, 1, 28, 28)).shape == (2, 10)
    assert 29e6 < sum(p.numel() for p in model.parameters()) < 31e6


def test_images_can_be_had_at_32_pixels():
    dataset = DATASETS.create("mnist[pixels=32]")
    images, published = dataset.judged(4), DATASETS.create("mnist").judged(4)
    assert images.x.shape == (4, 1, 32, 32) and torch.equal(images.y, published.y)
    assert images.x.min() >= 0 and images.x.max() <= 1


@pytest.fixture
def released(bench, tmp_path):
    """A store of rows under the protocol, before a classifier that draws in training mode."""
    status, _, err = bench("run", *RUN, "--out", "results")
    assert status == 0, err
    return tmp_path / "results"


def test_its_rows_stand_apart(released):
    (board,) = lay_out(Store(released).results())
    assert (board.dataset, board.protocol) == ("mnist[pixels=32]", "as-released")
    assert not any(board.candidates(eps) for eps in (0.0, 0.3))
    assert {rank for rank, _ in ranked(board)} == {None}
    page = (released / "README.md").read_text()
    assert "these rows enter no worst case" in page and "| rank" not in page
    assert not list(released.glob("figures/*"))


def test_the_same_command_gives_the_same_figures(bench, released):
    before = _figures((released / "README.md").read_text())
    assert bench("run", *RUN, "--out", "results", "--force")[0] == 0
    assert _figures((released / "README.md").read_text()) == before


def test_a_size_that_is_added_later_is_the_one_made_at_once(bench, released):
    sizes = [*RUN[: RUN.index("--eps")], "--eps", "0.1,0.3", *RUN[RUN.index("--eps") + 2 :]]
    assert bench("run", *sizes, "--out", "at_once")[0] == 0
    later, at_once = ({r.key: r for r in Store(path).results()} for path in (released, released.parent / "at_once"))
    assert set(later) < set(at_once)
    assert all(r.adversarial_set == at_once[key].adversarial_set for key, r in later.items())


def test_protocols_are_not_compared_with_one_another(bench, released):
    words = [{"as-released": "as-released-eval"}.get(word, word) for word in RUN]
    assert bench("run", *words, "--out", "results")[0] == 0
    assert len(lay_out(Store(released).results())) == 2
    status, out, _ = bench("compare", "none", "binarize", "--out", "results")
    assert (status == 0 and "10 shared cells, 0 without" in " ".join(out.split())) or "0 without a counterpart" in out
    assert bench("export", "results", "cells.csv")[0] == 0
    table = pd.read_csv(released.parent / "cells.csv")
    assert set(table["protocol"]) == {"as-released", "as-released-eval"}
    assert not table.duplicated(["dataset", "classifier", "protocol", "defense", "attack", "eps"]).any()


def _figures(page):
    return [line for line in page.splitlines() if line.startswith("| `")]


def test_an_attack_that_leaves_the_box_needs_a_protocol_that_lets_it(bench):
    words = ("--attacks", "pgd_released[clip=true]", "--threat", "graybox", "-n", "10", "--out", "r")
    status, _, err = bench("run", *words)
    assert status == 2
    free = "as-released, as-released-eval"
    assert err == f"bench: attack 'pgd_released[clip=true]' leaves the box [0, 1]: it needs --protocol {free}\n"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--protocol", "as-releasd"), "unknown protocol 'as-releasd'; did you mean 'as-released'?"),
        (("--protocol", "as-released", "--threat", "bpda"), "protocol 'as-released' knows gray-box attacks only"),
        (
            ("--protocol", "as-released", "--threat", "graybox", "--dataset", "mnist[pixels=64]"),
            "the protocol has images of 32 pixels a side: mnist[pixels=64] asks for others",
        ),
    ],
)
def test_what_cannot_be_had_is_one_line(bench, words, says):
    status, _, err = bench("run", "-n", "10", "--out", "r", *words)
    assert status == 2 and says in err and err.count("\n") == 1
