"""The words and flags of every command."""

from __future__ import annotations

import argparse
from importlib.metadata import version
from pathlib import Path

from purification_bench.attacks.protocol import PROTOCOLS
from purification_bench.attacks.threat import threat_words
from purification_bench.benchmark import parsing
from purification_bench.benchmark.parsing import Commands, Parser

DEFAULT_OUT = Path("results")
LISTS = ("defenses", "attacks", "classifiers", "datasets", "threats", "protocols", "presets", "zoo")


def build_parser() -> tuple[Parser, Commands]:
    """Return the parser of the whole command line, and its commands."""
    parser = Parser(prog="bench", description="The benchmark of adversarial-purification defenses.", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"bench {version('purification-bench')}")
    parser.set_defaults(plugin=[])
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_run(commands)
    _add_audit(commands)
    _add_certify(commands)
    _add_reproduce(commands)
    _add_exchange(commands)
    _add_train(commands)
    _add_list(commands)
    _add_results(commands)
    return parser, commands


def _add_run(commands: Commands) -> None:
    run = commands.add_parser(
        "run",
        help="attack, purify, classify, and write the leaderboard",
        description="Compute every cell that the result folder lacks, and write the leaderboard. The same command "
        "again computes nothing; interrupted, it goes on.",
        allow_abbrev=False,
    )
    run.add_recorded(
        "--preset", type=parsing.some, metavar="NAME", help="quick (the default), standard, ...: see bench list presets"
    )
    _add_attacked(run)
    run.add_recorded(
        "--defenses",
        type=parsing.some,
        metavar="LIST",
        help="for example cae,cae[latent_dim=32]; reference rows are added",
    )
    run.add_recorded("--attacks", type=parsing.some, metavar="LIST", help="for example fgsm,pgd[steps=100]")
    run.add_recorded("--threat", type=parsing.some, metavar="LIST", help=", ".join(threat_words()))
    run.add_recorded("--eps", type=parsing.some, metavar="LIST", help="sizes, where pixels go from 0 to 1: 0.1,8/255")
    run.add_recorded("--protocol", metavar="NAME", help=", ".join(PROTOCOLS))
    run.add_recorded("--draws", type=int, help="draws of a stochastic defense for each image")
    _add_grid(run)
    run.add_argument("--full", action="store_true", help="print accuracy under every attack at every size, too")
    run.add_argument("--profile", action="store_true", help="say where the time went")
    run.add_argument("--out", type=parsing.path, default=DEFAULT_OUT, help="result folder (default: %(default)s)")
    _add_computing(run)


def _add_audit(commands: Commands) -> None:
    audit = commands.add_parser(
        "audit",
        help="tell robust from masked: attack a defense as one who sees it, and check what came out",
        description="Run the preset 'audit' for some defenses and print every check with its evidence. Status 1: a "
        "check failed that costs a row its rank.",
        allow_abbrev=False,
    )
    audit.add_argument(
        "defenses", type=parsing.some, metavar="DEFENSE", help="one or several, as in bench run --defenses"
    )
    audit.add_argument("--out", type=parsing.path, metavar="DIR", help="keep the results and their page here; resumes")
    audit.add_argument("--json", nargs="?", const="-", metavar="FILE", help="print the findings, or write them there")
    _add_dry_run(audit)
    _add_attacked(audit)


def _add_certify(commands: Commands) -> None:
    certify = commands.add_parser(
        "certify",
        help="say how far the vote of a defense that begins with Gaussian noise cannot be moved",
        description="Randomised smoothing: count which class the draws of a defense see, and derive for each image the "
        "L2 distance within which no attack moves the vote. The result folder's page shows it. Each image is purified "
        "as often as draws are asked for.",
        allow_abbrev=False,
    )
    certify.add_recorded(
        "--defenses", type=parsing.some, metavar="LIST", required=True, help="for example smooth,gaussian_noise"
    )
    certify.add_recorded("--dataset", type=parsing.some, metavar="LIST", help="one or several datasets")
    certify.add_recorded("--classifier", type=parsing.some, metavar="LIST", help="one or several classifiers")
    certify.add_recorded("-n", type=int, metavar="N", help="test images (default: 100)")
    certify.add_recorded("--samples", type=int, default=1000, metavar="N", help="draws counted (default: %(default)s)")
    certify.add_recorded(
        "--selection", type=int, default=100, metavar="N", help="draws that choose the class (default: %(default)s)"
    )
    certify.add_recorded("--seed", type=int, help="of the draws")
    certify.add_argument("--out", type=parsing.path, default=DEFAULT_OUT, help="result folder (default: %(default)s)")
    _add_where(certify)


def _add_reproduce(commands: Commands) -> None:
    reproduce = commands.add_parser(
        "reproduce",
        help="re-make the seed paper's tables and figures, beside the published ones",
        description="Compute what the result folder lacks of the tables of Mandal (2023), and of what the paper does "
        "not show, and write the page. Interrupted, the same command goes on.",
        allow_abbrev=False,
    )
    reproduce.add_recorded("--table", metavar="LIST", help="1a, 1b, 2, 3, matrix, adaptive (default: all)")
    reproduce.add_recorded("--figure", metavar="LIST", help="2, 3, 4, 6")
    reproduce.add_recorded("--dataset", type=parsing.some, metavar="LIST", help="mnist, fashion_mnist (default: both)")
    reproduce.add_recorded("-n", type=int, metavar="N", help="at most so many test images")
    reproduce.add_argument(
        "--out", type=parsing.path, default=Path("reproduction"), help="result folder (default: %(default)s)"
    )
    _add_computing(reproduce)
    _add_where(reproduce)


def _add_attacked(parser: Parser) -> None:
    """Add what says what is attacked, on how much, and where it is found."""
    parser.add_recorded("--config", type=parsing.path, metavar="FILE", help="TOML file that overrides the preset")
    parser.add_recorded("--dataset", type=parsing.some, metavar="LIST", help="one or several datasets")
    parser.add_recorded("--classifier", type=parsing.some, metavar="LIST", help="one or several classifiers")
    parser.add_recorded("-n", type=int, metavar="N", help="test images, of a fixed stratified order")
    parser.add_recorded("--seed", type=int, help="of the attacks' and defenses' randomness")
    parser.add_recorded("--eot-samples", type=int, metavar="K", help="draws that a gradient is averaged over")
    _add_where(parser)


def _add_grid(parser: Parser) -> None:
    """Add whether every attack meets every image."""
    grid = parser.add_mutually_exclusive_group()
    grid.add_argument("--full-grid", action="store_true", help="every attack meets every image (the default)")
    grid.add_argument("--worst-case", action="store_true", help="pass over what earlier attacks broke; no rank")
    parser.recorded += [("--full-grid", "full_grid"), ("--worst-case", "worst_case")]


def _add_computing(parser: Parser) -> None:
    """Add how much is computed of what a result folder lacks."""
    parser.add_recorded("--no-latency", action="store_true", help="time nothing")
    parser.add_argument("--force", action="store_true", help="compute cells anew that are there")
    _add_dry_run(parser)


def _add_dry_run(parser: Parser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="say what would be computed, and for how long")


def _add_where(parser: Parser) -> None:
    """Add what says where things run, and where they are found."""
    parser.add_argument("--debug", action="store_true", help="show the calls that led to each error")
    parser.add_recorded("--device", help="auto, cpu or cuda")
    parser.add_recorded("--zoo", type=Path, help="folder of weights to look in first")
    parser.add_argument("--data-dir", type=parsing.folder, help="folder that holds MNIST/raw and the like")
    _add_plugin(parser)


def _add_exchange(commands: Commands) -> None:
    export = commands.add_parser(
        "export-adv", help="write the adversarial images of a result folder", allow_abbrev=False
    )
    export.add_argument("store", type=Path, metavar="DIR", help="a result folder")
    export.add_argument(
        "folder", type=parsing.new_folder, metavar="FOLDER", help="takes one .npz a set, for bench score"
    )
    score = commands.add_parser(
        "score",
        help="judge adversarial images from a file against any defense",
        description="Judge .npz files. x_adv: float32 or float16 (n, C, H, W) in [0, 1]; facts: JSON with name, "
        "dataset, norm (linf, l2), eps. Optional: index (n,), which images of the test split they are of (else the "
        "first n of the benchmark's order), and labels (n,), to be checked. What a file breaks lowers the rows of the "
        "result folder.",
        allow_abbrev=False,
    )
    score.add_argument("file", type=Path, metavar="FILE", nargs="+")
    score.add_recorded("--defenses", type=parsing.some, metavar="LIST", required=True, help="reference rows are added")
    score.add_recorded("--classifier", type=parsing.some, metavar="LIST", help="one or several classifiers")
    score.add_recorded("--seed", type=int, help="of the defenses' randomness")
    score.add_recorded("--draws", type=int, help="draws of a stochastic defense for each image")
    score.add_argument("--out", type=parsing.path, default=DEFAULT_OUT, help="result folder (default: %(default)s)")
    _add_where(score)


def _add_list(commands: Commands) -> None:
    listing = commands.add_parser(
        "list",
        help="list " + ", ".join(LISTS),
        description="List what there is. With a name, tell what is known of it: bench list defense cae.",
        allow_abbrev=False,
    )
    one = [what.removesuffix("s") for what in LISTS[:-1]]
    listing.add_argument("what", choices=[*LISTS, *one], metavar="WHAT", help=", ".join(LISTS))
    listing.add_argument("name", nargs="?", metavar="NAME", help="its options and defaults, what it declares, weights")
    listing.add_argument("--zoo", type=Path, help="folder of weights to look in first")
    _add_plugin(listing)


def _add_results(commands: Commands) -> None:
    report = commands.add_parser("report", help="render the leaderboard of a result folder", allow_abbrev=False)
    report.add_argument("store", type=Path, nargs="?", default=DEFAULT_OUT, metavar="DIR")
    report.add_argument(
        "--page", type=parsing.path, metavar="FILE", help="write the page here (default: DIR/README.md)"
    )
    export = commands.add_parser("export", help="write all cells as one table, CSV or Parquet", allow_abbrev=False)
    export.add_argument("store", type=Path, metavar="DIR")
    export.add_argument("file", type=Path, metavar="FILE", help="ends in .csv or .parquet")
    compare = commands.add_parser("compare", help="compare two result folders or two defenses", allow_abbrev=False)
    compare.add_argument("first", metavar="A", help="a defense as a run or a table names it, or a result folder")
    compare.add_argument("second", metavar="B", help="what it is compared with: another of the same kind")
    compare.add_argument("--out", type=parsing.path, default=DEFAULT_OUT, help="where two defenses are looked up")


def _add_train(commands: Commands) -> None:
    train = commands.add_parser(
        "train",
        help="train a classifier or a defense on the training split",
        description="Train on the training split; select on a validation part of it. Interrupted, the same command "
        "resumes. Options of what is trained stand in brackets: 'cae[against=pgd,eps=0.15]'.",
        allow_abbrev=False,
    )
    train.add_argument("kind", choices=("classifier", "defense"))
    train.add_argument("name", metavar="NAME", help="with its options: cae, or cae[against=pgd,eps=0.15]")
    train.add_argument("--dataset", default="mnist")
    train.add_argument("--classifier", default="model_a", help="the target that a defense is trained with")
    _add_epochs(train)
    _add_stored(train)
    train.add_argument("--limit", type=int, metavar="N", help="train on N images only")
    train.add_argument("--validation", type=int, metavar="N", help="select on N validation images only")
    train.add_argument(
        "--adversary-steps", type=int, metavar="N", help="of PGD in adversarial training (default: 7; fewer are faster)"
    )
    train.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    train.add_argument("--seed", type=int, default=0)
    train.add_argument("--device", default="auto", help="auto, cpu or cuda")
    train.add_argument("--data-dir", type=parsing.folder, help="folder that holds MNIST/raw and the like")
    train.add_argument("--zoo", type=Path, help="folder for the weights (default: the user's cache)")
    _add_plugin(train)


def _add_epochs(train: argparse.ArgumentParser) -> None:
    """Add how long is trained, and from where."""
    train.add_argument("--epochs", type=int, help="default: what the classifier or defense declares")
    train.add_argument("--batch-size", type=int, help="default: what the classifier or defense declares")
    train.add_argument("--patience", type=int, help="stop after so many epochs without a better validation score")
    train.add_argument(
        "--stop-after",
        type=int,
        metavar="N",
        help="end after N of the epochs; without this flag, the same command goes on",
    )
    train.add_argument(
        "--start-from", metavar="CLASSIFIER", help="start from the weights that the defense has before this classifier"
    )
    train.add_argument("--snapshots", metavar="LIST", default="", help="epochs whose weights the log keeps too")


def _add_stored(train: argparse.ArgumentParser) -> None:
    """Add how weights are stored."""
    stored = train.add_mutually_exclusive_group()
    stored.add_argument(
        "--half", dest="storage", action="store_const", const="half", help="store the weights in float16: half the file"
    )
    stored.add_argument(
        "--int8", dest="storage", action="store_const", const="int8", help="store them as 8-bit integers, compressed"
    )


def _add_plugin(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--plugin",
        type=parsing.named_file,
        action="append",
        default=[],
        metavar="FILE",
        help="a Python file to load first; repeatable",
    )
