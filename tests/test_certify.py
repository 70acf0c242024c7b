"""Certificates: their radii against SciPy's intervals, the law that no attack beats one, the command and its page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from conftest import BROKEN, DOWNLOADED
from scipy.stats import binomtest, norm

from purification_bench.attacks import guard
from purification_bench.benchmark.registries import ATTACKS, DEFENSES
from purification_bench.defenses import DefendedClassifier
from purification_bench.leaderboard.judging.certified import ALPHA, certified_accuracy, current, largest_radius, radii
from purification_bench.leaderboard.results.certificate import Certificate
from purification_bench.leaderboard.showing.certified import draw
from purification_bench.leaderboard.showing.tables.certified import certified
from purification_bench.leaderboard.showing.values import Missing

BUILT_IN = [
    name for name, entry in DEFENSES.entries().items() if entry.provider == "built-in" and name not in DOWNLOADED
]
SMOOTHING = [name for name in BUILT_IN if DEFENSES.create(name).smoothing_sigma is not None]
CERTIFY = ("certify", "--dataset", "shapes", "--classifier", "matched", "-n", "8", "--samples", "60")


def certificate(right, counts, samples=1000, sigma=0.5, seed=0) -> Certificate:
    return Certificate(
        identity={}, dataset="d", classifier="c", defense="smooth", seed=seed, sigma=sigma, samples=samples,
        right=right, counts=counts, seconds=1.0, environment={}, created="2026-11-28T00:00:00+00:00",
    )  # fmt: skip


def test_a_radius_is_that_of_cohen_and_others():
    found = radii(certificate([True, True, True, False], [1000, 800, 520, 1000]))
    for count, radius in zip((1000, 800), found, strict=False):
        sure = binomtest(count, 1000, alternative="greater").proportion_ci(1 - ALPHA, method="exact").low
        assert radius == pytest.approx(0.5 * norm.ppf(sure), rel=1e-6)
    assert list(found[2:]) == [-1, -1]  # no sure majority; the wrong class


def test_certified_accuracy_falls_with_the_radius():
    stored = certificate([True] * 4, [1000, 990, 700, 0])
    assert [certified_accuracy(stored, radius).value for radius in (0.0, 0.5, 1.1, 9.0)] == [0.75, 0.5, 0.25, 0.0]


@pytest.mark.parametrize("name", SMOOTHING)
def test_the_noise_is_of_the_size_that_is_declared(name, monkeypatch):
    """Of an image and another, under the same noise, the two sums differ as the images do: noise is all that is added.

    The deviation is measured on what the network is shown, scaled to images that keep their size.
    """
    defense, shown = DEFENSES.create(name), []
    defense.build((1, 28, 28), 10)
    if name == "gaussian_noise":
        monkeypatch.setattr(torch.Tensor, "clamp", lambda self, *_: self)
        seen = defense.purify
    else:
        monkeypatch.setattr(defense.unet, "forward", lambda x, t: shown.append(x) or torch.zeros_like(x))

        def seen(x):
            shown.clear()
            defense.purify(x)
            return shown[0]

    x = torch.rand(40, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    sums = []
    for images in (x, x + 0.1):
        torch.manual_seed(1)
        sums.append(seen(images))
    scale = float((sums[1] - sums[0]).mean()) / 0.1
    assert torch.allclose(sums[1] - sums[0], torch.full_like(x, 0.1 * scale), atol=1e-4)
    noise = sums[0] / scale - x
    assert float(noise.std()) == pytest.approx(defense.smoothing_sigma, rel=0.02)


def test_a_smoothed_defense_is_asked_for_by_the_size_of_its_noise():
    assert DEFENSES.create("smooth[sigma=0.5]").smoothing_sigma == pytest.approx(0.5, rel=0.01)
    assert DEFENSES.create("smooth[sigma=0.25]").smoothing_sigma == pytest.approx(0.25, rel=0.01)


def test_no_attack_beats_a_certificate(mnist, bench):
    """PGD in an L2 ball that just fits into each image's certificate, along the mean of draws: the vote stays."""
    (x, y), classifier = mnist
    status, _, err = bench(
        "certify", "--defenses", "gaussian_noise[sigma=0.3]", "--classifier", "small", "-n", "20", "--samples", "400",
        "--zoo", Path(__file__).parent / "zoo",
    )  # fmt: skip
    assert status == 0, err
    stored = Certificate.loads(next(Path("results/certificates").glob("*.json")).read_text())
    held = radii(stored)
    assert (held > 0.1).sum() >= 5
    defended = DefendedClassifier(classifier, DEFENSES.create("gaussian_noise[sigma=0.3]"))
    for k in (held > 0.1).nonzero()[0][:8].tolist():
        size, attack = 0.99 * float(held[k]), ATTACKS.create("pgdl2[steps=10]")
        (x_adv,) = guard.run(attack, defended, x[k : k + 1], y[k : k + 1], [size], [k], samples=8)
        assert 0 < float((x_adv - x[k]).norm()) <= held[k]
        torch.manual_seed(k)
        with torch.no_grad():
            votes = defended(x_adv.expand(400, -1, -1, -1)).argmax(dim=1)
        assert int(votes.mode().values) == int(y[k])


def test_a_radius_is_no_larger_than_the_way_to_the_nearest_other_class():
    """A plane between two classes: the true radius is the distance to it, and many draws come near that."""
    distances, sigma, n = torch.tensor([0.1, 0.3, 0.5, 0.9]), 0.5, 200_000
    torch.manual_seed(0)
    counts = [int((distance + sigma * torch.randn(n) > 0).sum()) for distance in distances]
    found = radii(certificate([True] * 4, counts, samples=n, sigma=sigma))
    assert (found <= distances.numpy()).all()
    assert (found > 0.9 * distances.numpy()).all()


def test_the_curve_is_the_certified_accuracy():
    stored = certificate([True] * 4, [1000, 990, 700, 0])
    line, end = draw([stored]).axes[0].get_lines()
    radius, left = line.get_data()
    for start, share in zip(radius[:-1], left, strict=False):
        assert share == 100 * certified_accuracy(stored, start + 1e-9).value
    assert line.get_drawstyle() == "steps-post"
    assert (radius[-1], left[-1]) == (largest_radius(stored), 25.0), "what so many draws cannot tell is not drawn"
    assert end.get_xdata() == [radius[-1]]


def test_a_radius_that_so_few_draws_cannot_certify_is_missing():
    few = certificate([True] * 4, [100] * 4, samples=100, sigma=0.1)
    (row,) = certified("d", [few]).rows
    by_radius = row[2:8]
    assert largest_radius(few) == pytest.approx(0.15, abs=0.01)
    assert by_radius[0].value == 1.0 and all(isinstance(each, Missing) for each in by_radius[1:])
    (row,) = certified("d", [certificate([True], [5], samples=5)]).rows
    assert all(isinstance(each, Missing) for each in row[2:8]), "five draws know no majority"


def test_of_a_defense_the_newest_weights_are_shown_and_the_most_draws():
    def made(weights, images, samples, day, seed=0):
        each = certificate([True] * images, [5] * images, samples=samples, seed=seed)
        each.identity, each.created = {"defense": weights}, f"2026-11-{day:02}T00:00:00+00:00"
        return each

    old, few, many = made("a", 9, 5000, 1), made("b", 2, 100, 20), made("b", 2, 1000, 10)
    assert current([old, few, many]) == [many]
    assert current([many, made("b", 3, 10, 11)])[0].samples == 10, "more images before more draws"
    assert current([made("b", 2, 1000, 30, seed=1), many]) == [many], "of several seeds not the last one tried"


FAULTY = """
import torch
from purification_bench import Defense, register_defense

@register_defense("{name}")
class Faulty(Defense):
    stochastic = True
    def __init__(self, *, sigma: float = 0.1):
        super().__init__()
        self.smoothing_sigma = sigma
    def purify(self, x):
        {body}
"""


@pytest.mark.parametrize(
    ("name", "options", "body", "line"),
    [
        ("failing_smoother", "", "raise RuntimeError('no more')", "RuntimeError: no more (faulty.py"),
        ("lying_smoother", "[sigma=-1]", "return x", "its smoothing_sigma is -1.0, not a deviation of noise"),
        ("still_smoother", "", "return x", "two draws of one image are the same: there is no noise to certify"),
        ("wide_smoother", "", "return 9 * torch.randn_like(x)", "returned values outside [0, 1]"),
    ],
)
def test_a_defense_that_fails_is_told_and_the_others_are_certified(name, options, body, line, bench, tmp_path):
    (tmp_path / "faulty.py").write_text(FAULTY.format(name=name, body=body))
    named = f"{name}{options},gaussian_noise"
    status, out, err = bench(*CERTIFY, "--plugin", "faulty.py", "--defenses", named)
    assert status == 1
    assert line in err and "Traceback" not in err
    assert "1 computed, 0 kept" in out


def test_votes_are_counted_once_and_shown(bench):
    options = ("--defenses", "gaussian_noise,gaussian_noise[sigma=0.1]")
    status, out, _ = bench(*CERTIFY, *options)
    assert status == 0
    assert "certified" in out and "2 computed, 0 kept" in out
    page = Path("results/README.md").read_text()
    assert (
        "No results yet" not in page
        and "shapes, matched: certified" in page
        and "figures/certified-shapes-matched.png" in page
    )
    assert "bench certify --defenses" in page
    before = {path: path.read_text() for path in Path("results/certificates").iterdir()}
    assert "0 computed, 2 kept" in bench(*CERTIFY, *options)[1]
    assert {path: path.read_text() for path in Path("results/certificates").iterdir()} == before
    assert "2 computed" in bench(*CERTIFY, *options, "--seed", "1")[1]


def test_the_vote_of_little_noise_is_right_and_that_of_much_is_not(bench):
    bench(*CERTIFY, "--defenses", "gaussian_noise[sigma=0.05],gaussian_noise[sigma=999]")
    stored = [Certificate.loads(path.read_text()) for path in Path("results/certificates").iterdir()]
    little, much = sorted(stored, key=lambda each: each.sigma)
    assert certified_accuracy(little, 0.0).value == 1.0
    assert certified_accuracy(much, 0.0).value < 0.5


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        (("--defenses", "none"), "no certificate for 'none': it does not begin with Gaussian noise; these do: ddpm,"),
        (("--defenses", "none", "--plugin", BROKEN), "no certificate for 'none'"),
        (("--defenses", "gaussian_noise", "--samples", "0"), "--samples must be at least 1, not 0"),
        (("--defenses", "smooth"), "'smooth' uses the weights of 'ddpm': no weights for defense"),
        (("--defenses", "gausian_noise"), "unknown defense 'gausian_noise'"),
        (("--defenses", "smooth[sigma=0]"), "sigma must be positive, not 0"),
        (("--defenses", "smooth[sigma=500]"), "sigma must lie between 0.005 and 79, the noise of training, not be 500"),
    ],
)
def test_what_has_no_certificate_is_refused_in_a_line(flags, line, bench):
    status, _, err = bench(*CERTIFY, *flags)
    assert status == 2
    assert line in err and err.count("\n") == 1
    assert not Path("results").exists()


@pytest.mark.parametrize("damage", ["{", json.dumps({"right": [True]}), "counts"])
def test_a_damaged_certificate_is_set_aside(damage, bench):
    bench(*CERTIFY, "--defenses", "gaussian_noise")
    (path,) = Path("results/certificates").iterdir()
    text = path.read_text()
    path.write_text(text.replace('"counts": [', '"counts": [99999, ') if damage == "counts" else damage)
    status, _, err = bench("report", "results")
    assert status == 0 and path.name in err
    assert path.name in Path("results/README.md").read_text()
    status, out, err = bench(*CERTIFY, "--defenses", "gaussian_noise")
    assert status == 0 and "1 computed, 0 kept" in out


def test_a_certificate_of_a_later_version_is_left_alone(bench):
    bench(*CERTIFY, "--defenses", "gaussian_noise")
    (path,) = Path("results/certificates").iterdir()
    path.write_text(path.read_text().replace('"schema": 1', '"schema": 9'))
    status, _, err = bench(*CERTIFY, "--defenses", "gaussian_noise")
    assert status == 2 and "schema 9" in err and err.count("\n") == 1
    status, _, err = bench("report", "results")
    assert status == 0 and "schema 9" in err and path.is_file()
