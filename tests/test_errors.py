"""What is asked for wrongly: one line that names the value, exit status 2, nothing written or lost."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import torch
from conftest import PLUGINS

from purification_bench.benchmark.paths import SHIPPED_ZOO, SPLITS

ROOT = Path(__file__).parent.parent
README, PUBLISHED = ROOT / "README.md", ROOT / "leaderboard" / "published"
RUN = ("run", "--defenses", "binarize", "--attacks", "fgsm", "-n", "4", "--no-latency")


UNFINISHED = """
from purification_bench import register_{kind}, {cls}

@register_{kind}("unfinished")
class Unfinished({cls}):
    eps_grid = (0.1,)
"""


def corrupt_zoo(folder: Path, change) -> Path:
    shutil.copytree(SHIPPED_ZOO, folder)
    file = folder / "model_a-mnist.safetensors"
    file.write_bytes(change(file.read_bytes()))
    return folder


def flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


@pytest.fixture
def files(tmp_path):
    """Files that the cases name, by word."""
    write = {
        "KEY": "defences = ['cae']",
        "VALUE": "n = 'many'",
        "OLDTABLE": "[budget.defensegan]\nn = 5",
        "OVERRIDE": "[[override]]\ndefense = 'binarise'\nn = 5",
        "CHOICE": "[[override]]\nthreat = 'bpda'\ndraws = 2",
        "BADTOML": "n = = 1",
        "NOIMPORT": "import nothing_of_that_name",
        "SAMENAME": "from purification_bench import *\n@register_defense('cae')\nclass C(Defense): ...",
        "NOPURIFY": "from purification_bench import *\n@register_defense('idle')\nclass Idle(Defense): ...",
        "SYNTAX": "def",
        "EXITS": "import sys; sys.exit(0)",
        "NOATTACK": UNFINISHED.format(kind="attack", cls="Attack"),
        "NODATA": UNFINISHED.format(kind="dataset", cls="ImageDataset"),
    }
    made = {word: tmp_path / f"{word}.py" for word in write}
    for word, text in write.items():
        made[word].write_text(text + "\n")
    made["CORRUPTZOO"] = corrupt_zoo(tmp_path / "corrupt", flipped)
    made["CUTZOO"] = corrupt_zoo(tmp_path / "cut", lambda content: content[:1000])
    data = tmp_path / "data" / "MNIST" / "raw"
    data.mkdir(parents=True)
    (data / "t10k-images-idx3-ubyte.gz").write_bytes((SPLITS / "mnist/t10k-images-idx3-ubyte.gz").read_bytes()[:999])
    made["CUTDATA"] = tmp_path / "data"
    (tmp_path / "occupied").write_text("")
    made["UNWRITABLE"] = tmp_path / "occupied" / "results"
    return made


CASES = {
    "defense": (("--defenses", "binarise"), "unknown defense 'binarise'; did you mean 'binarize'"),
    "attack": (("--attacks", "fgms"), "unknown attack 'fgms'; did you mean 'fgsm'"),
    "dataset": (("--dataset", "mnits"), "unknown dataset 'mnits'; did you mean 'mnist'"),
    "classifier": (("--classifier", "modela"), "unknown classifier 'modela'; did you mean 'model_a'"),
    "preset": (("--preset", "quik"), "unknown preset 'quik'; did you mean 'quick'"),
    "option": (("--defenses", "median[sise=5]"), "'sise'; did you mean 'size'"),
    "option-value": (("--defenses", "median[size=4]"), "size must be odd and positive, not 4"),
    "config-key": (("--config", "KEY"), "'defences'; did you mean 'defenses'"),
    "config-value": (("--config", "VALUE"), "n in"),
    "config-old-table": (("--config", "OLDTABLE"), "are no longer read: write [[override]] with defense"),
    "config-override": (("--config", "OVERRIDE"), "unknown defense in an override: 'binarise'; did you mean 'bin"),
    "config-choice": (("--config", "CHOICE"), "CHOICE.py cannot differ by threat. Valid: defense"),
    "config-syntax": (("--config", "BADTOML"), "is not TOML"),
    "config-missing": (("--config", "nowhere.toml"), "'nowhere.toml' cannot be read"),
    "n-zero": (("-n", "0"), "n in command line must be a whole number of at least 1, not 0"),
    "n-large": (("-n", "20000"), "n must lie between 1 and 10000 for mnist, not 20000"),
    "draws-zero": (
        ("--draws", "0"),
        "draws in command line must be a whole number of at least 1 and at most",
    ),
    "eps-negative": (("--eps", "-0.1"), "eps in command line must be sizes that are not negative, such as 0.3"),
    "eps-no-number": (("--eps", "0.1,much"), "such as 0.3, 8/255, mark or mark/3, not 'much'"),
    "eps-fraction": (("--eps", "-8/255"), "mark or mark/3, not '-8/255'"),
    "flag": (("--defences", "cae"), "'--defences'; did you mean '--defenses'"),
    "flag-value": (("-n", "many"), "argument -n: invalid int value: 'many'"),
    "option-twice": (("--defenses", "median[size=3,size=5]"), "option 'size' is given twice"),
    "option-nan": (("--attacks", "pgd[alpha=nan]"), "must be a finite JSON scalar"),
    "draws-many": (("--draws", "256"), "at most 255, not 256"),
    "zoo": (("--zoo", "nowhere"), "--zoo 'nowhere' is not a folder"),
    "plugin-exits": (("--plugin", "EXITS"), "does not import: SystemExit"),
    "plugin-attack": (("--plugin", "NOATTACK", "--attacks", "unfinished"), "unfinished: TypeError"),
    "plugin-dataset": (("--plugin", "NODATA", "--dataset", "unfinished"), "unfinished: TypeError"),
    "eps-nan": (("--eps", "nan"), "mark or mark/3, not 'nan'"),
    "eps-too-far": (("--attacks", "pgd[alpha=0.001]", "--eps", "0.3"), "reach 0.04, not eps 0.3"),
    "device": (("--device", "gpu"), "unknown device 'gpu'. Valid: auto, cpu, cuda"),
    "weights-corrupt": (("--zoo", "CORRUPTZOO"), "model_a-mnist.safetensors is corrupt or truncated"),
    "weights-truncated": (("--zoo", "CUTZOO"), "model_a-mnist.safetensors is corrupt or truncated"),
    "weights-missing": (("--defenses", "cae[latent_dim=3]"), "no weights for defense 'cae[latent_dim=3]' on mnist"),
    "data-truncated": (("--data-dir", "CUTDATA"), "t10k-images-idx3-ubyte.gz cannot be read"),
    "out": (("--out", "UNWRITABLE"), "cannot be written"),
    "data-folder": (("--data-dir", "nowhere"), "argument --data-dir: 'nowhere' is not a folder"),
    "defenses-none": (("--defenses", ""), "argument --defenses: names nothing: ''"),
    "attacks-none": (("--attacks", ","), "argument --attacks: names nothing: ','"),
    "out-empty": (("--out", ""), "argument --out: needs a path, not ''"),
    "plugin-folder": (("--plugin", "."), "plug-in '.' is a folder: name the Python file in it"),
    "plugin-import": (("--plugin", "NOIMPORT"), "does not import: ModuleNotFoundError"),
    "plugin-syntax": (("--plugin", "SYNTAX"), "does not import: SyntaxError"),
    "plugin-missing": (("--plugin", "nowhere.py"), "plug-in file 'nowhere.py' does not exist"),
    "same-name": (("--plugin", "SAMENAME"), "two defenses are named 'cae'"),
    "plugin-no-python": (("--plugin", "BADTOML.txt"), "plug-in file 'BADTOML.txt' does not exist"),
    "plugin-empty": (("--plugin", ""), "argument --plugin: needs a path, not ''"),
    "plugin-no-purify": (("--plugin", "NOPURIFY"), "defense class 'Idle' defines no purify(x)"),
    "threat": (("--threat", "white"), "unknown threat in command line: 'white'; did you mean 'whitebox'"),
    "threat-none": (("--threat", ","), "argument --threat: names nothing: ','"),
    "dataset-none": (("--dataset", ""), "argument --dataset: names nothing: ''"),
    "classifier-none": (("--classifier", " "), "argument --classifier: names nothing: ' '"),
    "preset-none": (("--preset", ""), "argument --preset: names nothing: ''"),
    "config-empty": (("--config", ""), "argument --config: needs a path, not ''"),
    "config-folder": (("--config", "."), "configuration file '.' cannot be read: Is a directory"),
    "protocol": (("--protocol", "released"), "unknown protocol 'released'; did you mean"),
    "protocol-threat": (("--protocol", "as-released", "--threat", "whitebox"), "knows gray-box attacks only"),
    "name-rule": (
        ("--defenses", "ca e"),
        "cannot read 'ca e'; write NAME or NAME[option=value,...], where a name is a",
    ),
    "name-bracket": (("--defenses", "cae["), "cannot read 'cae['; write NAME or NAME[option=value,...]"),
    "option-bare": (("--defenses", "cae[noise]"), "cannot read option 'noise' in 'cae[noise]'; write option=value"),
    "option-none": (("--defenses", "cae[noise=none]"), "option 'noise' of defense 'cae' takes float, not None"),
    "option-kind": (("--attacks", "pgd[steps=2.5]"), "option 'steps' of attack 'pgd' takes int, not 2.5"),
    "option-bool": (("--attacks", "pgd[steps=true]"), "option 'steps' of attack 'pgd' takes int, not True"),
    "option-word": (("--attacks", "pgd[steps=x]"), "option 'steps' of attack 'pgd' takes int, not 'x'"),
    "option-choice": (("--dataset", "mnist[split=train]"), "must be one of test, validation, not 'train'"),
    "option-zero": (("--attacks", "pgd[steps=0]"), "attack 'pgd[steps=0]': steps must be at least 1, not 0"),
    "bound-zero": (("--attacks", "pgdl2[bound=0]"), "bound must be positive, not 0"),
    "pixels-zero": (("--dataset", "mnist[pixels=0]"), "pixels must be positive, not 0"),
    "queries-zero": (("--attacks", "square[queries=0]"), "queries must be at least 1, not 0"),
    "weights-classifier": (("--classifier", "conv8"), "no weights for classifier 'conv8' on mnist"),
    "seed-word": (("--seed", "x"), "argument --seed: invalid int value: 'x'"),
    "n-negative": (("-n", "-5"), "n in command line must be a whole number of at least 1, not -5"),
    "n-fraction": (("-n", "1.5"), "argument -n: invalid int value: '1.5'"),
    "draws-word": (("--draws", "few"), "argument --draws: invalid int value: 'few'"),
    "eot-zero": (("--eot-samples", "0"), "eot_samples in command line must be a whole number of at least 1, not 0"),
    "eps-infinite": (("--eps", "inf"), "mark or mark/3, not 'inf'"),
    "eps-by-zero": (("--eps", "1/0"), "mark or mark/3, not '1/0'"),
    "eps-mark-by-zero": (("--eps", "mark/0"), "mark or mark/3, not 'mark/0'"),
    "eps-none": (("--eps", ""), "argument --eps: names nothing: ''"),
    "device-empty": (("--device", ""), "unknown device ''. Valid: auto, cpu, cuda"),
    "word": (("extra",), "unknown argument of bench run: 'extra'. Valid: --attacks"),
}


@pytest.mark.parametrize("case", CASES)
def test_one_line_status_two_nothing_written(case, bench, files, tmp_path):
    words, message = CASES[case]
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    status, out, err = bench(*RUN, *(files.get(word, word) for word in words))
    assert status == 2
    assert message in err
    assert err.startswith("bench: ")
    assert err.count("\n") == 1
    assert out == ""
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()} == before
    assert not (tmp_path / "results").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_cuda_without_one(bench):
    status, _, err = bench(*RUN, "--device", "cuda")
    assert status == 2
    assert err == "bench: --device cuda: this machine has no CUDA device that torch can use. Valid here: auto, cpu\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("train", "defense", "binarize"), "defense 'binarize' is not trained"),
        (("train", "defense", "cae[latent=3]"), "did you mean 'latent_dim'"),
        (("train", "defense", "cae", "--latent-dim", "3"), "is an option of defense 'cae': write 'cae[latent_dim=3]'"),
        (("train", "defense", "cae[noise=0]", "--eps=.1"), "write 'cae[eps=.1,noise=0]'"),
        (("train", "defense", "cae", "--latent-dim"), "write 'cae[latent_dim=...]'"),
        (("train", "classifier", "vgg16", "--init", "imagenet"), "write 'vgg16[init=imagenet]'"),
        (("train", "defense", "cae", "--epoch", "3"), "unknown argument of bench train: '--epoch'; did you mean"),
        (("train", "defense", "ca", "--noise", "3"), "unknown defense 'ca'; did you mean 'cae'"),
        (("train", "classifier", "model_a", "--epochs", "0"), "--epochs must be at least 1, not 0"),
        (("train", "classifier", "model_b"), "unknown classifier 'model_b'; did you mean 'model_a'"),
        (("report", "nowhere"), "'nowhere' holds no results"),
        (("export", "nowhere", "x.csv"), "'nowhere' holds no results"),
        (("compare", "cae", "none"), "'results' holds no results"),
        (("audit", "binarize", "--json", "no/x.json"), "--json 'no/x.json' cannot be written: there is no such folder"),
        (("audit",), "the following arguments are required: DEFENSE"),
        (("audit", ""), "argument DEFENSE: names nothing: ''"),
        (("audit", "binarise"), "unknown defense 'binarise'; did you mean 'binarize'"),
        (("audit", "none", "--eps", "0.1"), "unknown argument of bench audit: '--eps'"),
        (("score", "nowhere.npz", "--defenses", "none"), "'nowhere.npz' is no file of adversarial images"),
        (("score", README, "--defenses", "none"), "is no file of adversarial images: it is no .npz file"),
        (("score", "x.npz"), "the following arguments are required: --defenses"),
        (("report", README), "holds no results: there is no folder"),
        (("report", "--page", ""), "argument --page: needs a path, not ''"),
        (("export", PUBLISHED, "x.xlsx"), "cannot export to 'x.xlsx'. Valid endings: .csv, .parquet"),
        (("export", PUBLISHED, "no/x.csv"), "'no/x.csv' cannot be written"),
        (("export-adv", PUBLISHED, "out"), "holds no adversarial images: a run keeps them"),
        (("export-adv", PUBLISHED, "x.npz"), "argument FOLDER: 'x.npz' names a file"),
        (("compare", PUBLISHED, "nowhere"), "'nowhere' holds no results; compare two result folders"),
        (("compare", "--out", PUBLISHED, "puvae", "cea"), "'cea'; did you mean 'cae'"),
        (("compare", "--out", PUBLISHED, "puvae", "defensegan"), "'defensegan' is 2 rows in"),
        (("compare", "x"), "the following arguments are required: B"),
        (("train", "model", "model_a"), "unknown kind 'model'. Valid: classifier, defense"),
        (("train", "defense"), "the following arguments are required: NAME"),
        (("train", "defense", "cae", "--dataset", "mnits"), "unknown dataset 'mnits'; did you mean 'mnist'"),
        (("train", "defense", "cae", "--limit", "-1"), "--limit must be at least 1, not -1"),
        (("train", "defense", "cae", "--validation", "0"), "--validation must be at least 1, not 0"),
        (("train", "defense", "cae", "--precision", "half"), "unknown --precision 'half'. Valid: bfloat16, float32"),
        (("train", "defense", "cae", "--snapshots", "a"), "--snapshots takes epochs, numbers from 1 on, not 'a'"),
        (("train", "defense", "cae", "--batch-size", "0"), "--batch-size must be at least 1, not 0"),
        (("train", "classifier", "model_a", "--start-from", "x"), "--start-from is for defenses"),
        (("reproduce", "-n", "0"), "-n must be at least 1, not 0"),
        (("reproduce", "--dataset", "cifar"), "unknown dataset of the paper: 'cifar'. Valid: fashion_mnist, mnist"),
        (("reproduce", "--table", "9"), "unknown table '9'. Valid: 1a, 1b, 2, 3"),
        (("reproduce", "--figure", "1"), "unknown figure '1'. Valid: 2, 3, 4, 6"),
        (("list", "defence"), "unknown WHAT 'defence'; did you mean 'defense'?"),
        (("list", "defense", "ca"), "unknown defense 'ca'; did you mean 'cae'"),
        (("lst",), "unknown COMMAND 'lst'; did you mean 'list'?"),
        (("--fast",), "the following arguments are required: COMMAND"),
    ],
)
def test_the_other_commands_too(words, message, bench):
    status, out, err = bench(*words)
    assert (status, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "warning"),
    [
        (("--eps", "8"), "eps 8 is more than the whole box: pixels lie in [0, 1]. Is 8/255 meant?"),
        (("--eps", "0"), "eps 0 changes nothing: accuracy there is the clean one"),
        (("--threat", "latent"), "nothing is attacked: no defense and no attack here are what latent fits"),
    ],
)
def test_what_is_odd_is_done_and_said(words, warning, bench, tmp_path):
    command = (*RUN, "--plugin", PLUGINS / "shapes.py", "--config", _empty(tmp_path), "--dry-run")
    status, _, err = bench(*command, *words)
    assert status == 0
    assert f"bench: warning: {warning}\n" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--eps", "mark"), "fgsm (graybox) at 0.1"),
        (("--eps", "mark/2, mark"), "fgsm (graybox) at 0.05, 0.1"),
        (("--eps", "8/255"), "fgsm (graybox) at 8/255"),
        (("--eps", "0.1,0.10,1e-1"), "fgsm (graybox) at 0.1"),
        (("--defenses", "none, none ,none[]"), "3 of 3 cells to compute on cpu: "),
        (("--defenses", "median[size=3],median"), "median"),
        (("--attacks", " pgd[steps=2] , fgsm,"), "pgd[steps=2] (graybox) at 0.1, 0.3"),
        (("--attacks", "pgd[steps=40]"), "pgd (graybox) at 0.1, 0.3"),
        (("--threat", "adaptive,graybox", "--defenses", "median"), "fgsm (whitebox)"),
        (("--seed", "-1"), "cells to compute on cpu: "),
        (("--draws", "255"), "cells to compute on cpu: "),
        (("--device", "auto"), "cells to compute on "),
        (("--out", "some where/else"), "cells to compute on "),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, tuple) else "",
)
def test_what_is_written_otherwise_is_understood(words, said, bench, tmp_path):
    own = tmp_path / "own.toml"
    own.write_text("references = []\ndefenses = ['none']\nthreats = ['graybox']\nattacks = ['fgsm']\nn = 4\n")
    command = (
        "run",
        "--plugin",
        PLUGINS / "shapes.py",
        "--dataset",
        "shapes",
        "--classifier",
        "matched",
        "--no-latency",
    )
    status, out, _ = bench(*command, "--config", own, "--dry-run", *words)
    assert status == 0
    assert said in out


@pytest.mark.parametrize(("words", "shown"), [((), "usage: bench [-h]"), (("list",), "usage: bench list")])
def test_alone_it_shows_help(words, shown, bench):
    status, out, err = bench(*words)
    assert (status, err) == (0, "")
    assert out.startswith(shown)


def test_it_says_its_version(bench):
    status, out, _ = bench("--version")
    assert status == 0
    assert re.fullmatch(r"bench \d+\.\d+\.\d+\n", out)


def test_an_existing_store_survives_a_mistake(bench, tmp_path):
    assert bench(*RUN, "--plugin", PLUGINS / "shapes.py", "--config", _empty(tmp_path))[0] == 0
    before = {path: path.read_bytes() for path in (tmp_path / "results").rglob("*") if path.is_file()}
    assert bench(*RUN, "--defenses", "binarise")[0] == 2
    assert {path: path.read_bytes() for path in (tmp_path / "results").rglob("*") if path.is_file()} == before


def _empty(tmp_path: Path) -> Path:
    path = tmp_path / "empty.toml"
    path.write_text("references = []\neps = [0.1]\n")
    return path
