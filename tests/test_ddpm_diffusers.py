"""Somebody else's diffusion model as a purifier: a small pipeline that diffusers saved, against its own scheduler."""

from __future__ import annotations

import pytest
import torch

from purification_bench.benchmark.registries import DEFENSES
from purification_bench.defenses.errors import UserError

diffusers = pytest.importorskip("diffusers")


@pytest.fixture
def saved(tmp_path):
    """Save a pipeline for 3x16x16 images, with what is asked of its scheduler."""

    def save(network=None, **schedule):
        torch.manual_seed(0)
        network = diffusers.UNet2DModel(
            sample_size=16, in_channels=3, block_out_channels=(8, 8), layers_per_block=1,
            down_block_types=("DownBlock2D",) * 2, up_block_types=("UpBlock2D",) * 2, norm_num_groups=4,
            **{"out_channels": 3, **(network or {})},
        )  # fmt: skip
        pipeline = diffusers.DDPMPipeline(network, diffusers.DDPMScheduler(**schedule))
        pipeline.save_pretrained(tmp_path / "pipeline")
        return pipeline, f"ddpm_diffusers[pipeline={tmp_path / 'pipeline'},t=4,steps=4]"

    return save


@torch.no_grad()
def test_it_purifies_as_the_pipelines_own_scheduler_does(saved):
    """Down to time 1, where the scheduler adds noise once more and we take the clean image that it sees."""
    pipeline, text = saved()
    defense = DEFENSES.create(text)
    defense.build((3, 16, 16), 10)
    x = torch.rand(2, 3, 16, 16)
    torch.manual_seed(1)
    draws = [torch.randn_like(x) for _ in range(5)]
    scheduler = pipeline.scheduler
    images = scheduler.add_noise(2 * x - 1, draws[0], torch.tensor([3, 3]))
    for t, drawn in zip((3, 2, 1), draws[1:], strict=False):
        seen = pipeline.unet(images, t).sample
        drawn_by_scheduler = scheduler.step(seen, t, images, generator=torch.Generator().manual_seed(t))
        deviation = scheduler._get_variance(t, variance_type="fixed_small") ** 0.5
        noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(t))
        images = drawn_by_scheduler.prev_sample - deviation * noise + deviation * drawn
    clean = scheduler.step(pipeline.unet(images, 0).sample, 0, images).pred_original_sample
    torch.manual_seed(1)
    assert torch.allclose(2 * defense.eval().purify(x) - 1, clean, atol=1e-4)


def test_it_is_run_as_any_other(saved, bench):
    _, text = saved()
    assert DEFENSES.create(text).smoothing_sigma == pytest.approx(DEFENSES.create("ddpm[t=4,steps=4]").smoothing_sigma)
    status, _, err = bench("train", "defense", "ddpm_diffusers")
    assert status == 2
    assert err == "bench: defense 'ddpm_diffusers' is not trained: it has no fit\n"


def test_what_does_not_fit_is_refused_in_a_line(saved):
    _, text = saved()
    with pytest.raises(UserError, match=r"is for images of shape \(3, 16, 16\), not \(1, 28, 28\)"):
        DEFENSES.create(text).build((1, 28, 28), 10)
    for parts, line in (
        ({"beta_schedule": "squaredcos_cap_v2"}, "has beta_schedule 'squaredcos_cap_v2'; only 'linear' is known here"),
        ({"trained_betas": [0.1] * 1000}, "has trained_betas"),
        ({"network": {"num_class_embeds": 10}}, "has num_class_embeds 10; only None is known here"),
        ({"network": {"out_channels": 6}}, "has out_channels 6; only 3 is known here"),
    ):
        _, text = saved(**parts)
        with pytest.raises(UserError, match=line):
            DEFENSES.create(text).build((3, 16, 16), 10)


def test_a_pipeline_that_is_not_there_is_told_in_a_line(tmp_path):
    with pytest.raises(UserError, match=r"no diffusers pipeline .*nowhere' can be loaded") as told:
        DEFENSES.create(f"ddpm_diffusers[pipeline={tmp_path / 'nowhere'}]").build((3, 32, 32), 10)
    assert "\n" not in str(told.value)
