"""Data: digests, the fixed order, and what is said when a file is not there."""

from __future__ import annotations

import gzip
import shutil

import numpy as np
import pytest
import torch
from conftest import needs_training_split

from purification_bench.benchmark.assets.data import stratified_order
from purification_bench.benchmark.paths import SPLITS
from purification_bench.benchmark.registries import DATASETS
from purification_bench.defenses.errors import UserError

NAMES = ("mnist", "fashion_mnist")


@pytest.mark.parametrize("name", NAMES)
def test_the_shipped_test_split_is_the_published_one(name):
    images = DATASETS.create(name).load("test", None)
    assert images.x.shape == (10000, 1, 28, 28)
    assert images.x.dtype == torch.float32
    assert (float(images.x.min()), float(images.x.max())) == (0, 1)
    assert sorted(set(images.y.tolist())) == list(range(10))


@pytest.mark.parametrize("name", NAMES)
def test_a_smaller_n_is_a_stratified_prefix_of_a_larger(name):
    dataset = DATASETS.create(name)
    small, large = dataset.judged(100), dataset.judged(1000)
    assert torch.equal(small.x, large.x[:100])
    counts = np.bincount(small.y.numpy(), minlength=10)
    assert counts.min() >= 8
    assert counts.max() <= 12


@needs_training_split
def test_defenses_may_be_judged_on_the_validation_part():
    dataset = DATASETS.create("mnist[split=validation]")
    judged, held_out = dataset.judged(50), dataset.training_split("validation")
    assert torch.equal(judged.x, held_out.x[:50])
    assert not torch.equal(judged.x, DATASETS.create("mnist").judged(50).x)
    with pytest.raises(UserError, match=r"between 1 and 6000 for mnist\[split=validation\], not 7000"):
        dataset.judged(7000)


def test_the_order_is_a_permutation_and_fixed():
    y = torch.tensor([0, 1] * 50)
    order = stratified_order(y, "key")
    assert sorted(order.tolist()) == list(range(100))
    assert order[:8].tolist() == [90, 53, 28, 21, 70, 13, 56, 27]
    assert torch.equal(order, stratified_order(y, "key"))
    assert not torch.equal(order, stratified_order(y, "another key"))


@pytest.mark.parametrize("n", [0, -1, 10001])
def test_n_is_checked(n):
    with pytest.raises(UserError, match="between 1 and 10000"):
        DATASETS.create("mnist").judged(n)


def test_a_corrupt_file_is_refused(tmp_path):
    folder = tmp_path / "MNIST" / "raw"
    folder.mkdir(parents=True)
    for file in (SPLITS / "mnist").glob("*.gz"):
        shutil.copy(file, folder)
    file = folder / "t10k-labels-idx1-ubyte.gz"
    content = bytearray(gzip.decompress(file.read_bytes()))
    content[100] ^= 1
    file.write_bytes(gzip.compress(bytes(content)))
    with pytest.raises(UserError, match="is corrupt"):
        DATASETS.create("mnist").judged(10, tmp_path)


@pytest.mark.parametrize("kept", [0, 1000])
def test_a_truncated_file_is_refused(tmp_path, kept):
    folder = tmp_path / "MNIST" / "raw"
    folder.mkdir(parents=True)
    file = folder / "t10k-images-idx3-ubyte.gz"
    file.write_bytes((SPLITS / "mnist" / file.name).read_bytes()[:kept])
    with pytest.raises(UserError, match=r"cannot be read|is corrupt"):
        DATASETS.create("mnist").judged(10, tmp_path)


def test_a_missing_training_split_says_where_it_was_looked_for(tmp_path, monkeypatch):
    monkeypatch.delenv("BENCH_DATA", raising=False)

    def no_network(*_, **__):
        raise RuntimeError("no network")

    monkeypatch.setattr("torchvision.datasets.MNIST", no_network)
    with pytest.raises(UserError, match="train-images-idx3-ubyte") as caught:
        DATASETS.create("mnist").training_split("train", tmp_path)
    assert str(tmp_path / "MNIST" / "raw") in str(caught.value)
    assert "--data-dir or BENCH_DATA" in str(caught.value)


@needs_training_split
@pytest.mark.parametrize("name", NAMES)
def test_training_and_validation_parts_are_disjoint_and_whole(name):
    dataset = DATASETS.create(name)
    train, validation = dataset.training_split("train"), dataset.training_split("validation")
    assert (len(train.y), len(validation.y)) == (54000, 6000)
    together = torch.cat([train.x, validation.x]).sum(dim=(1, 2, 3)).sort().values
    assert torch.allclose(together, dataset.load("train", None).x.sum(dim=(1, 2, 3)).sort().values)
    assert len(dataset.training_split("train", limit=100).y) == 100
