"""Defense-GAN: restart by restart, as its public ports go, and all restarts at once; halving; the encoder's start."""

from __future__ import annotations

import pytest
import torch

STEP, MOMENTUM = 10.0, 0.7


def port(defense, x, starts):
    """Descend from one start after the other with the whole batch, and keep each image's best."""
    best, nearest = torch.full((len(x),), torch.inf), torch.zeros_like(x)
    for start in starts.unbind(dim=1):
        z, velocity = start.clone().requires_grad_(), torch.zeros_like(start)
        for step in range(defense.steps):
            loss = (defense.decode(z) - x).square().mean(dim=(1, 2, 3)).sum()
            (gradient,) = torch.autograd.grad(loss, z)
            velocity = MOMENTUM * velocity + gradient
            size = STEP if step < 0.8 * defense.steps else STEP / 10
            z = (z - size * velocity).detach().requires_grad_()
        with torch.no_grad():
            images = defense.decode(z)
            error = (images - x).square().mean(dim=(1, 2, 3))
        closer = error < best
        best[closer], nearest[closer] = error[closer], images[closer]
    return nearest


@pytest.mark.parametrize("batch", [1, 8])
@pytest.mark.parametrize("steps", [25, 200])
@pytest.mark.parametrize("side", ["port", "bench", "bench, halve_every=5", "bench, halve_every=20"])
def test_projection(batch, steps, side, loaded, measure, outputs, benchmark):
    benchmark.group = f"Defense-GAN, {steps} steps, 10 restarts, batch {batch}"
    halving = "," + side.partition(", ")[2] if "halve" in side else ""
    if halving and (steps == 25) != ("=5" in halving):
        pytest.skip("a tenth to a fifth of the steps")
    defense, x = loaded.defense(f"defensegan[steps={steps},restarts=10{halving}]"), loaded.images(batch)[0]
    torch.manual_seed(0)
    starts = torch.randn(batch, 10, 128)
    call = (lambda: port(defense, x, starts)) if side == "port" else (lambda: defense._project(x, starts))
    found = measure(call, rounds=5 if steps == 25 else 3, side=side, n=batch, images=batch)
    error = float((found - x).square().mean())
    benchmark.extra_info["error"] = error
    if side == "port":
        outputs[batch, steps] = error
    elif side == "bench":
        assert error == pytest.approx(outputs[batch, steps], rel=0.02)


@pytest.mark.benchmark(group="the machine's limit: two 2048 x 2048 matrices multiplied, 17.2 GFLOP")
def test_peak(measure):
    first, second = torch.randn(2, 2048, 2048)
    measure(lambda: first @ second, rounds=15, side="sgemm", n=1)


@pytest.mark.benchmark(group="an image through Defense-GAN and its relatives, batch 1")
@pytest.mark.parametrize(
    "name", ["defensegan", "defensegan[halve_every=5]", "defensegan_encoder", "puvae", "cae[latent_dim=32,noise=0.1]"]
)
def test_one_image(name, loaded, measure):
    defense, x = loaded.defense(name), loaded.images(1)[0]
    with torch.no_grad():
        measure(lambda: defense.purify(x), rounds=15, side=name, n=1)
