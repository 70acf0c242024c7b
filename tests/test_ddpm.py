"""Diffusion purifiers: schedule and chain against the paper's formulas in plain loops, gradients against autograd."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from chains import gradients
from make_training import make_training

from purification_bench.benchmark.facts import of_defense
from purification_bench.benchmark.registries import DEFENSES
from purification_bench.defenses import averaged, ddpm, diffusion
from purification_bench.defenses.unet import UNet

SHAPE = (1, 28, 28)
BETAS = [1e-4 + (0.02 - 1e-4) * k / 999 for k in range(1000)]


def make(name="ddpm", shape=SHAPE, **options):
    """One whose network answers: as it is made, it sees no noise at all."""
    torch.manual_seed(0)
    defense = DEFENSES.create(DEFENSES.spec(name, width=8, **options))
    defense.build(shape, 10)
    for parameter in defense.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return defense.eval()


def plainly_kept(t):
    left = 1.0
    for beta in BETAS[:t]:
        left *= 1 - beta
    return left


@pytest.mark.parametrize("t", [0, 1, 300, 1000])
def test_the_schedule_is_the_papers(t):
    assert diffusion.kept(t) == pytest.approx(plainly_kept(t), rel=1e-5)


@pytest.mark.parametrize(("t", "steps"), [(300, 10), (7, 7), (10, 4), (5, 1)])
def test_the_way_back_ends_at_0_and_misses_no_time(t, steps):
    pairs = diffusion.times(t, steps)
    assert len(pairs) == steps
    assert pairs[0][0] == t and pairs[-1][1] == 0
    assert all(before[1] == after[0] for before, after in pairwise(pairs))
    assert all(start > end for start, end in pairs)


def test_one_step_is_that_of_the_paper():
    """Equations 7 and 11 (Ho et al. 2020), where nothing needs to be held in [-1, 1]."""
    x, noise, seen = (0.1 * torch.randn(3, *SHAPE, dtype=torch.float64) for _ in range(3))
    t, beta = 40, BETAS[39]
    mean = (x - beta / (1 - plainly_kept(t)) ** 0.5 * seen) / (1 - beta) ** 0.5
    variance = (1 - plainly_kept(t - 1)) / (1 - plainly_kept(t)) * beta
    stepped = diffusion.step_back(lambda *_: seen, x, t, t - 1, noise)
    assert torch.allclose(stepped, mean + variance**0.5 * noise, atol=1e-5)


@torch.no_grad()
def test_it_purifies_as_a_plain_loop_over_images_does(mnist):
    defense, x = make(t=60, steps=3), mnist[0].x[:4]
    torch.manual_seed(1)
    draws = [torch.randn_like(x) for _ in range(4)]
    expected = []
    for i in range(4):
        image = plainly_kept(60) ** 0.5 * (2 * x[i] - 1) + (1 - plainly_kept(60)) ** 0.5 * draws[0][i]
        for (start, end), drawn in zip([(60, 40), (40, 20), (20, 0)], draws[1:], strict=True):
            now, before = plainly_kept(start), plainly_kept(end)
            seen = defense.unet(image[None], torch.tensor([start]))[0]
            clean = ((image - (1 - now) ** 0.5 * seen) / now**0.5).clamp(-1, 1)
            beta = 1 - now / before
            mean = before**0.5 * beta * clean + (now / before) ** 0.5 * (1 - before) * image
            image = mean / (1 - now) + ((1 - before) / (1 - now) * beta) ** 0.5 * drawn[i]
        expected.append((image + 1) / 2)
    torch.manual_seed(1)
    assert torch.allclose(defense.purify(x), torch.stack(expected), atol=1e-4)


def test_the_gradient_is_that_of_plain_autograd(mnist, monkeypatch):
    """Steps that are computed again on the way back change nothing: a chain of three."""
    checkpointed, plain = gradients(make(t=100, steps=3), mnist[0].x[:4], monkeypatch)
    assert torch.allclose(checkpointed, plain, atol=1e-5)
    assert float(checkpointed.abs().max()) > 1e-3


@torch.no_grad()
def test_one_step_is_the_image_that_the_noise_speaks_for(mnist):
    x, short = mnist[0].x[:4], make("ddpm_onestep", t=90)
    torch.manual_seed(2)
    noisy = diffusion.noised(2 * x - 1, torch.full((4,), 90), torch.randn_like(x))
    seen = short.unet(noisy, torch.full((4,), 90))
    clean = (noisy - (1 - plainly_kept(90)) ** 0.5 * seen) / plainly_kept(90) ** 0.5
    torch.manual_seed(2)
    assert torch.allclose(2 * short.purify(x) - 1, clean.clamp(-1, 1), atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (1, 17, 15)])
def test_the_network_takes_images_of_any_size(shape):
    torch.manual_seed(0)
    network = UNet(shape, 8)
    assert not network(torch.randn(2, *shape), torch.tensor([1, 2])).any(), "at first it sees no noise"
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    answers = network(torch.randn(1, *shape).repeat(2, 1, 1, 1), torch.tensor([1, 900]))
    assert answers.shape == (2, *shape)
    assert not torch.allclose(*answers), "it is told the time"


def test_training_tells_noise_better_and_keeps_the_average(shapes, monkeypatch):
    monkeypatch.setattr(averaged, "MEMORY", 0.9)
    monkeypatch.setattr(averaged, "FIRST_MEMORY", 0.9)
    torch.manual_seed(0)
    defense = DEFENSES.create("ddpm[width=8]")
    defense.build(tuple(shapes[0].x.shape[1:]), 3)
    training = make_training(shapes, epochs=6, batch_size=2)
    reports, report = [], training.report
    training.report = lambda score, **metrics: (reports.append(metrics), report(score, **metrics))
    defense.fit(training)
    errors = [metrics["error"] for metrics in reports]
    assert min(errors) < 0.9 * errors[0] < 1
    x = shapes[0].x[:20]
    with torch.no_grad():
        kept = float(ddpm.noise_error(defense.unet, x, torch.Generator().manual_seed(0)))
    assert kept == pytest.approx(min(errors), rel=1e-4)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ("t=1001", "t must be at most 1000, not 1001"),
        ("t=5,steps=6", "steps must be at most t, 5, not 6"),
        ("width=12", "width must be a multiple of 8, not 12"),
        ("steps=0", "steps must be at least 1, not 0"),
    ],
)
def test_what_makes_no_chain_is_refused(options, line, bench):
    status, _, err = bench("run", "--defenses", f"ddpm[{options}]", "-n", "8")
    assert status == 2
    assert line in err and err.count("\n") == 1


def test_the_short_one_uses_the_weights_of_the_long_one(bench):
    assert of_defense("ddpm_onestep[t=50]").training == of_defense("ddpm[t=200,steps=7]").training
    assert of_defense("ddpm_onestep[width=16]").training.options == {"width": 16}
    status, _, err = bench("train", "defense", "ddpm_onestep")
    assert status == 2
    assert err == "bench: defense 'ddpm_onestep' uses the weights of 'ddpm': train that\n"


BORROWS = """
from purification_bench import Defense, register_defense

@register_defense("{name}_lender")
class Lender(Defense):
    def fit(self, context):
        ...
    def purify(self, x):
        return x

@register_defense("{name}")
class Borrower(Defense):
    weights_of = "{name}_lender"
    def __init__(self{options}):
        super().__init__()
    def purify(self, x):
        return x
"""


@pytest.mark.parametrize(
    ("name", "options", "line"),
    [("borrower", "", "no weights for defense 'borrower_lender'"), ("foreigner", ", *, extra: int = 1", "'extra'")],
)
def test_a_defense_without_fit_may_use_anothers_weights_and_their_options(name, options, line, bench, tmp_path):
    (tmp_path / f"{name}.py").write_text(BORROWS.format(name=name, options=options))
    status, _, err = bench("run", "--plugin", f"{name}.py", "--defenses", name, "-n", "8")
    assert status == 2
    assert line in err and "_lender" in err and err.count("\n") == 1
