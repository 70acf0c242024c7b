"""Transforms without training, each against somebody else's or a plain computation of the same."""

from __future__ import annotations

import pytest
import torch

from purification_bench.benchmark.registries import DATASETS, DEFENSES
from purification_bench.defenses.errors import UserError


@pytest.fixture(scope="module")
def x():
    return DATASETS.create("mnist").judged(16).x


def test_binarize_rounds_at_its_threshold():
    x = torch.tensor([0.0, 0.39, 0.41, 0.6, 1.0]).view(1, 1, 1, 5)
    assert DEFENSES.create("binarize[threshold=0.4]").purify(x).flatten().tolist() == [0, 0, 1, 1, 1]


def test_what_follows_binarize_back_leads_across_its_threshold():
    x = torch.tensor([0.2, 0.5, 0.8]).view(1, 1, 1, 3).requires_grad_()
    binarize = DEFENSES.create("binarize")
    (slope,) = torch.autograd.grad(binarize.surrogate(x).sum(), x)
    near, at, far = slope.flatten().tolist()
    assert near == pytest.approx(far, rel=1e-4) and 0 < near < at


def test_median_agrees_with_scipy(x):
    from scipy.ndimage import median_filter

    ours = DEFENSES.create("median[size=5]").purify(x).numpy()
    assert (ours == median_filter(x.numpy(), size=(1, 1, 5, 5), mode="mirror")).all()


def test_bits_are_levels():
    x = torch.tensor([0.0, 0.1, 0.2, 0.49, 0.51, 1.0]).view(1, 1, 1, 6)
    purified = DEFENSES.create("bit_depth").purify(x).flatten()
    assert (3 * purified).tolist() == pytest.approx([0, 0, 1, 1, 2, 3])
    assert torch.equal(DEFENSES.create("bit_depth[bits=1]").purify(x), DEFENSES.create("binarize").purify(x))


def test_jpeg_keeps_what_its_quality_affords(x):
    """Blocks of 8x8 pixels of one grey come back; of digits it loses more, the smaller the file."""
    flat = (torch.arange(32) / 31).view(1, 1, 4, 8).repeat_interleave(8, dim=2).repeat_interleave(8, dim=3)
    assert torch.allclose(DEFENSES.create("jpeg[quality=95]").purify(flat), flat, atol=1.5 / 255)
    lost = [float((DEFENSES.create(f"jpeg[quality={q}]").purify(x) - x).square().mean()) for q in (5, 20, 75, 100)]
    assert lost == sorted(lost, reverse=True) and lost[-1] < 1e-4 and lost[0] > 1e-3


def test_jpeg_takes_colour():
    ramp = torch.linspace(0, 1, 32)
    images = torch.stack([ramp.expand(32, 32), ramp[:, None].expand(32, 32), 0.5 * torch.ones(32, 32)])[None]
    assert float((DEFENSES.create("jpeg[quality=100]").purify(images) - images).abs().mean()) < 0.02
    with pytest.raises(UserError, match="1 or 3 channels, not 2"):
        DEFENSES.create("jpeg").build((2, 8, 8), 10)


def test_total_variation_reaches_what_plain_descent_does(x):
    """The objective of Rudin et al., half the squared distance and the weighted total variation, one image."""
    image, weight = x[:1].double(), 0.3

    def objective(candidate):
        down, right = candidate.diff(dim=2), candidate.diff(dim=3)
        steps = torch.nn.functional.pad(down, (0, 0, 0, 1)) ** 2 + torch.nn.functional.pad(right, (0, 1)) ** 2
        return 0.5 * (candidate - image).square().sum() + weight * (steps + 1e-10).sqrt().sum()

    found = objective(DEFENSES.create(f"total_variation[weight={weight}]").purify(image))
    plain = image.clone().requires_grad_()
    optimizer = torch.optim.Adam([plain], lr=0.01)
    for _ in range(1500):
        optimizer.zero_grad()
        loss = objective(plain)
        loss.backward()
        optimizer.step()
    assert float(found) < 1.02 * float(loss.detach()) < 0.9 * float(objective(image))


def test_resized_images_are_whole_at_a_size_and_place_of_their_own():
    white = torch.ones(200, 1, 40, 40)
    torch.manual_seed(0)
    shrunk = DEFENSES.create("resize_pad[smallest=0.5]").purify(white)[:, 0]
    height, width = shrunk.amax(dim=2).sum(dim=1) / 40, shrunk.amax(dim=1).sum(dim=1) / 40
    assert torch.allclose(height, width, atol=0.04)
    assert 0.48 < float(height.min()) < 0.55 and 0.95 < float(height.max()) <= 1
    for axis in (1, 2):
        profile = shrunk.sum(dim=axis)
        middle = (profile * torch.arange(40.0)).sum(dim=1) / profile.sum(dim=1)
        assert float(middle.min()) < 15 and float(middle.max()) > 24


def test_a_resized_image_is_the_image_smaller(x):
    """Against plain interpolation, where the random numbers make it half the size and put it in the middle."""
    numbers = iter([torch.zeros(16), torch.full((16, 2), 0.5)])
    defense = DEFENSES.create("resize_pad[smallest=0.5]")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "rand", lambda *_, **__: next(numbers))
        half = defense.purify(x)[:, :, 7:21, 7:21]
    plain = torch.nn.functional.interpolate(x, scale_factor=0.5, mode="bilinear", align_corners=False)
    assert torch.allclose(half, plain, atol=1e-5)


def test_noise_is_of_its_size():
    grey = torch.full((8, 1, 64, 64), 0.5)
    assert float(DEFENSES.create("gaussian_noise[sigma=0.1]").purify(grey).std()) == pytest.approx(0.1, rel=0.02)


@pytest.mark.parametrize(
    ("spec", "line"),
    [
        ("bit_depth[bits=8]", "bits must lie between 1 and 7, not 8"),
        ("jpeg[quality=0]", "quality must lie between 1 and 100, not 0"),
        ("resize_pad[smallest=1]", "smallest must lie between 0 and 1, not 1"),
        ("gaussian_noise[sigma=0]", "sigma must be positive, not 0"),
        ("total_variation[weight=-1]", "weight must be positive, not -1"),
    ],
)
def test_options_out_of_range_are_one_line(spec, line, bench):
    status, _, err = bench("run", "--defenses", spec, "-n", "8")
    assert status == 2
    assert line in err and err.count("\n") == 1
