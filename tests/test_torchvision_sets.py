"""Other data sets: small files in their true formats are read, damaged ones are refused in one line."""

from __future__ import annotations

import hashlib
import pickle

import numpy as np
import pytest
import torch
import torchvision
from scipy.io import savemat

from purification_bench.benchmark.registries import DATASETS
from purification_bench.defenses.errors import UserError

SIZE = 60
"""Images of each file that is written here."""


def pixels(*shape):
    return np.random.RandomState(0).randint(0, 256, shape, dtype=np.uint8)


def write_cifar10(root, patch):
    """Five batches and one, a pickled dictionary each: rows of 3,072 bytes, channel by channel."""
    folder, cls = root / "cifar-10-batches-py", torchvision.datasets.CIFAR10
    folder.mkdir()
    x, y = pixels(SIZE, 3, 32, 32), list(np.arange(SIZE) % 10)

    def dump(name, content):
        (folder / name).write_bytes(pickle.dumps(content))
        return [name, hashlib.md5((folder / name).read_bytes()).hexdigest()]

    parts = np.split(np.arange(SIZE), 5)
    batches = [dump(f"data_batch_{k + 1}", {"data": x[i].reshape(len(i), -1), "labels": [y[j] for j in i]})
               for k, i in enumerate(parts)]  # fmt: skip
    patch.setattr(cls, "train_list", batches)
    patch.setattr(cls, "test_list", [dump("test_batch", {"data": x.reshape(SIZE, -1), "labels": y})])
    name, md5 = dump("batches.meta", {"label_names": list("abcdefghij")})
    patch.setattr(cls, "meta", {"filename": name, "key": "label_names", "md5": md5})
    return folder / "test_batch", x, y


def write_svhn(root, patch):
    """A Matlab file a part: images along the last axis, labels from 1 to 10, of which 10 is the digit 0."""
    x, y, listed = pixels(SIZE, 3, 32, 32), np.arange(SIZE) % 10, {}
    for part in ("train", "test"):
        file = root / f"{part}_32x32.mat"
        savemat(file, {"X": x.transpose(2, 3, 1, 0), "y": np.where(y == 0, 10, y)[:, None]})
        listed[part] = ["", file.name, hashlib.md5(file.read_bytes()).hexdigest()]
    patch.setattr(torchvision.datasets.SVHN, "split_list", listed)
    return root / "test_32x32.mat", x, y


def write_idx(folder, prefixes, classes, turned=False):
    folder.mkdir(parents=True)
    x, y = pixels(SIZE, 1, 28, 28), np.arange(SIZE) % classes
    for prefix in prefixes:
        header = np.array([0x00000803, SIZE, 28, 28], ">i4").tobytes()
        stored = x.transpose(0, 1, 3, 2) if turned else x
        (folder / f"{prefix}-images-idx3-ubyte").write_bytes(header + stored.tobytes())
        labels = np.array([0x00000801, SIZE], ">i4").tobytes() + y.astype(np.uint8).tobytes()
        (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(labels)
    return folder / f"{prefixes[-1]}-images-idx3-ubyte", x, y


WRITERS = {
    "cifar10": write_cifar10,
    "svhn": write_svhn,
    "kmnist": lambda root, _: write_idx(root / "KMNIST" / "raw", ("train", "t10k"), 10),
    "emnist": lambda root, _: write_idx(
        root / "EMNIST" / "raw", ("emnist-balanced-train", "emnist-balanced-test"), 47, turned=True
    ),
}


@pytest.fixture(params=WRITERS)
def written(request, tmp_path, monkeypatch):
    """The data set, its folder, the file of its test images, and what it holds."""
    file, x, y = WRITERS[request.param](tmp_path, monkeypatch)
    dataset = DATASETS.create(request.param)
    monkeypatch.setattr(type(dataset), "sizes", {"train": SIZE, "test": SIZE})
    return DATASETS.create(request.param), tmp_path, file, x, y


@pytest.mark.parametrize("part", ["train", "test"])
def test_files_in_the_true_format_are_read(written, part):
    dataset, root, _, x, y = written
    images = dataset.load(part, root)
    assert images.x.shape == (SIZE, *dataset.shape)
    assert torch.equal((255 * images.x).round().byte(), torch.from_numpy(x))
    assert images.y.tolist() == list(y)
    assert images.y.dtype == torch.int64


def test_judged_and_held_out_images_are_counted(written):
    dataset, root, *_ = written
    assert len(dataset.judged(20, root).y) == 20
    assert len(dataset.training_split("validation", root).y) == 6
    assert DATASETS.create(f"{dataset.spec.name}[split=validation]").images == 6


@pytest.mark.parametrize("damage", [lambda content: content[:-9], lambda content: content[:40], lambda _: b"no image"])
def test_damaged_files_are_refused_in_one_line(written, damage):
    dataset, root, file, *_ = written
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(UserError, match=r"is corrupt: its MD5|cannot be read|is not as published") as caught:
        dataset.load("test", root)
    assert str(file) in str(caught.value) and "\n" not in str(caught.value)


def test_what_is_nowhere_says_where_it_was_looked_for(tmp_path, monkeypatch):
    monkeypatch.delenv("BENCH_DATA", raising=False)
    for name in WRITERS:
        dataset = DATASETS.create(name)

        def no_network(*_, **__):
            raise RuntimeError("no network")

        monkeypatch.setattr(type(dataset), "made", no_network)
        with pytest.raises(UserError, match=r"the download failed \(no network\); give the folder") as caught:
            dataset.load("test", tmp_path)
        assert str(tmp_path) in str(caught.value)


def test_a_file_that_is_missing_beside_others_is_named(written):
    dataset, root, file, *_ = written
    if dataset.spec.name == "svhn":
        pytest.skip("it has one file a part")
    file.unlink()
    with pytest.raises(UserError, match=f"{file.name} is missing"):
        dataset.load("test", root)
