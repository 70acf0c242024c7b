"""Defense-GAN: its purification against a plain reference, and the training of its generator."""

from __future__ import annotations

import csv

import pytest
import torch
from conftest import shipped_or_untrained
from make_training import make_training
from safetensors.torch import load_file

from purification_bench.benchmark.assets.data import Images
from purification_bench.benchmark.facts import of_defense
from purification_bench.benchmark.registries import DATASETS, DEFENSES
from purification_bench.benchmark.run.identity import identity
from purification_bench.defenses import defensegan
from purification_bench.defenses.errors import UserError
from purification_bench.defenses.wgan import LATENT_DIM, Critic, Generator

SHAPE = (1, 28, 28)


def make(shape=SHAPE, **options):
    """A generator that was never trained, but whose images differ from code to code."""
    torch.manual_seed(1)
    defense = DEFENSES.create(DEFENSES.spec("defensegan", **options))
    defense.build(shape, 10)
    with torch.no_grad():
        for name, value in defense.named_parameters():
            value.mul_(2.5 if name.endswith("weight") else 1)
    return defense.eval()


def purify(defense, x, seed=0):
    torch.manual_seed(seed)
    return defense.purify(x)


def plain_reference(defense, x, seed=0):
    """Image by image, restart by restart, with torch's SGD; returns the winners' images and numbers."""
    torch.manual_seed(seed)
    starts = defense.z_init * torch.randn(len(x), defense.restarts, LATENT_DIM)
    found, winners = [], []
    for i in range(len(x)):
        ends = []
        for r in range(defense.restarts):
            z = starts[i, r].clone()[None].requires_grad_()
            descent = torch.optim.SGD([z], lr=defense.step_size, momentum=defense.momentum)
            for step in range(defense.steps):
                if step >= 0.8 * defense.steps:
                    descent.param_groups[0]["lr"] = 0.1 * defense.step_size
                descent.zero_grad()
                (defense.decode(z)[0] - x[i]).square().mean().backward()
                descent.step()
                if defense.z_radius is not None and z.norm() > defense.z_radius:
                    z.data *= defense.z_radius / z.norm()
            image = defense.decode(z)[0].detach()
            ends.append((float((image - x[i]).square().mean()), image))
        winners.append(min(range(defense.restarts), key=lambda r: ends[r][0]))
        found.append([image for _, image in ends])
    return torch.stack([torch.stack(images) for images in found]), winners


@pytest.mark.parametrize("options", [{}, {"z_init": 1.0, "z_radius": 10.0, "momentum": 0.9}])
def test_purification_is_the_plain_loop_over_images_and_restarts(options, mnist):
    defense, x = make(steps=10, restarts=3, **options), mnist[0].x[:6]
    found, winners = plain_reference(defense, x)
    purified = purify(defense, x)
    distances = (found - purified[:, None]).abs().flatten(2).amax(dim=2)
    assert distances.argmin(dim=1).tolist() == winners
    assert float(distances.min(dim=1).values.max()) < 1e-4
    assert float(distances.max()) > 1e-2, "restarts that end alike would prove nothing"


def test_the_same_values_with_and_without_gradients_and_in_any_batches(mnist, monkeypatch):
    defense, x = make(steps=5, restarts=3), mnist[0].x[:8]
    expected = purify(defense, x)
    with torch.no_grad():
        assert torch.equal(purify(defense, x), expected)
    with torch.inference_mode():
        assert torch.equal(purify(defense, x), expected)
    monkeypatch.setattr(defensegan, "_rows_at_once", lambda device: 7)
    assert torch.allclose(purify(defense, x), expected, atol=1e-5)


def test_purifying_leaves_the_weights_alone(mnist):
    defense = make(steps=3, restarts=2)
    before = {name: value.clone() for name, value in defense.state_dict().items()}
    x = mnist[0].x[:4].clone().requires_grad_()
    torch.autograd.grad(purify(defense, x).sum(), x)
    assert all(torch.equal(value, before[name]) for name, value in defense.state_dict().items())
    assert all(p.grad is None and p.requires_grad for p in defense.parameters())


def test_halving_drops_the_worse_half_of_the_restarts_on_the_way(mnist):
    """Of four restarts two go on after five steps, and one after ten: the one that the plain loop would keep."""
    x = mnist[0].x[:6]
    whole, halved = make(steps=15, restarts=4), make(steps=15, restarts=4, halve_every=5)
    seen = []
    halved.generator.register_forward_pre_hook(lambda _, given: seen.append(len(given[0])))
    purified = purify(halved, x)
    assert seen[::5][:1] == [24] and {24, 12, 6} == set(seen)
    assert seen.count(24) == 6 and seen.count(12) == 6
    early = make(steps=15, restarts=4)
    torch.manual_seed(0)
    starts = torch.randn(6, 4, LATENT_DIM)
    kept = purify(whole, x)
    same = (purified - kept).abs().amax(dim=(1, 2, 3)) < 1e-3
    assert same.any()
    for i in (~same).nonzero()[:, 0].tolist():
        ends = [early._project(x[i : i + 1], starts[i : i + 1, r : r + 1])[0] for r in range(4)]
        assert min(float((end - purified[i]).abs().max()) for end in ends) < 1e-3


def test_halving_of_one_restart_changes_nothing(mnist):
    x = mnist[0].x[:3]
    assert torch.equal(purify(make(steps=4, restarts=1, halve_every=1), x), purify(make(steps=4, restarts=1), x))


def test_an_option_that_came_later_is_in_keys_only_where_it_is_used():
    plain, used = (of_defense(f"defensegan{options}") for options in ("", "[halve_every=5]"))
    assert "halve_every" not in identity(plain, None)["options"]
    assert identity(used, None)["options"]["halve_every"] == 5


@pytest.fixture
def started():
    """The shipped generator with its encoder."""
    return shipped_or_untrained("defensegan_encoder")


def test_the_encoder_starts_one_descent_in_the_right_valley(started, mnist):
    x = mnist[0].x[:16]
    first = started.decode(started.starts(x)[:, 0]).detach()
    assert started.starts(x).shape == (16, 1, LATENT_DIM)
    assert float((first - x).square().mean()) < 0.03
    assert float((started.purify(x) - x).square().mean()) < float((first - x).square().mean())
    assert torch.equal(started.purify(x), started.purify(x))


def test_the_gradient_goes_through_descent_and_encoder(mnist):
    """Against differences: a step along the gradient changes the loss by what it says."""
    torch.manual_seed(0)
    defense = DEFENSES.create("defensegan_encoder[steps=3]")
    defense.build(SHAPE, 10)
    defense.eval().double()
    x, weight = mnist[0].x[:1].double().requires_grad_(), torch.randn(1, *SHAPE).double()
    (gradient,) = torch.autograd.grad((defense.purify(x) * weight).sum(), x)
    direction = torch.randn(1, *SHAPE).double()
    h = 1e-5
    with torch.no_grad():
        ahead, behind = ((defense.purify(x + sign * h * direction) * weight).sum() for sign in (1, -1))
    assert float((gradient * direction).sum()) == pytest.approx(float(ahead - behind) / (2 * h), rel=1e-3)


def test_the_encoder_is_trained_on_the_generator_that_there_is(mnist):
    images, classifier = mnist
    training = make_training((Images(images.x[:32], images.y[:32]), classifier), epochs=2)
    training._trained = shipped_or_untrained
    torch.manual_seed(0)
    defense = DEFENSES.create("defensegan_encoder")
    defense.build(SHAPE, 10)
    before = {name: value.clone() for name, value in defense.encoder.state_dict().items()}
    defense.fit(training)
    shipped = shipped_or_untrained("defensegan").generator.state_dict()
    assert all(torch.equal(value, shipped[name]) for name, value in defense.generator.state_dict().items())
    assert any(not torch.equal(value, before[name]) for name, value in defense.encoder.state_dict().items())


def test_more_restarts_or_steps_come_nearer(mnist):
    x = mnist[0].x[:8]

    def error(**options):
        return float((purify(make(**options), x) - x).square().mean())

    assert error(steps=40, restarts=1) < error(steps=4, restarts=1)
    assert error(steps=10, restarts=6) < error(steps=10, restarts=1)


def test_codes_stay_within_the_radius(mnist, monkeypatch):
    defense = make(steps=8, restarts=2, z_init=1.0, z_radius=3.0)
    decode, norms = defense.decode, []
    monkeypatch.setattr(defense, "decode", lambda z: (norms.append(float(z.detach().norm(dim=1).max())), decode(z))[1])
    purify(defense, mnist[0].x[:4])
    assert norms[0] > 3
    assert max(norms[1:]) <= 3 + 1e-4


def test_without_a_random_start_it_is_deterministic():
    assert make().stochastic
    assert not make(z_init=0.0).stochastic


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("steps=0", "steps must be at least 1, not 0"),
        ("restarts=-1", "restarts must be at least 1, not -1"),
        ("step_size=0", "step_size must be positive, not 0"),
        ("momentum=1", r"momentum must lie in \[0, 1\), not be 1"),
        ("z_radius=0", "z_radius must be positive, not 0"),
    ],
)
def test_bad_options_are_told(options, message):
    with pytest.raises(UserError, match=message):
        DEFENSES.create(f"defensegan[{options}]")


def test_the_generator_makes_images_of_other_shapes_and_says_which_it_cannot():
    assert Generator((3, 32, 20))(torch.randn(2, LATENT_DIM)).shape == (2, 3, 32, 20)
    with pytest.raises(ValueError, match="multiples of 4, not 30x28"):
        Generator((1, 30, 28))


@pytest.mark.parametrize("shape", [SHAPE, (3, 32, 20)])
def test_the_critics_gradient_is_autograds_and_trains_like_it(shape):
    torch.manual_seed(0)
    critic = Critic(shape)
    x = torch.rand(5, *shape, requires_grad=True)
    (expected,) = torch.autograd.grad(critic(x).sum(), x, create_graph=True)
    written_out = critic.input_gradient(x.detach())
    assert torch.allclose(written_out, expected, atol=1e-6)
    weights = [p for name, p in critic.named_parameters() if name.endswith("weight")]
    for ours, theirs in zip(
        torch.autograd.grad(written_out.norm(), weights), torch.autograd.grad(expected.norm(), weights), strict=True
    ):
        assert torch.allclose(ours, theirs, atol=1e-5)
        assert float(theirs.norm()) > 0


def test_training_rebuilds_better_and_keeps_the_last_epoch_and_a_log(shapes, monkeypatch):
    monkeypatch.setattr(defensegan, "VALIDATION_IMAGES", 4)
    torch.manual_seed(0)
    defense = DEFENSES.create("defensegan")
    defense.build((3, 16, 16), 4)
    many = DATASETS.create("shapes").judged(50)  # 10 steps of the generator an epoch: the average must move
    quarters = Images(many.x[:, :, ::2, ::2], many.y)
    training = make_training((quarters, shapes[1]), epochs=3, batch_size=1, snapshots=(2,))
    defense.fit(training)
    with (training.progress.folder / "history.csv").open(newline="") as file:
        history = list(csv.DictReader(file))
    assert len(history) == 3
    assert training.best["epoch"] == 3
    assert training.best["rebuilt_mse"] == pytest.approx(float(history[-1]["rebuilt_mse"]))
    assert training.best["rebuilt_mse"] < float(history[0]["rebuilt_mse"])
    assert {"critic", "critic_validation"} <= set(history[0])
    assert len(list(training.progress.folder.glob("epoch-*.png"))) == 3
    snapshot = load_file(training.progress.folder / "epoch-0002.safetensors")
    assert snapshot.keys() == defense.state_dict().keys()
    training.progress.discard()
    assert (training.progress.folder / "history.csv").exists()
    assert not (training.progress.folder / "state.pt").exists()
