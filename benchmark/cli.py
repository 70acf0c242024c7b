"""The command line ``bench``: it reads words (``flags``), and what they ask for is done in ``commands``."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import traceback
from collections.abc import Sequence

from purification_bench.attacks.threat import THREATS
from purification_bench.benchmark.flags import build_parser
from purification_bench.benchmark.registries import REGISTRIES
from purification_bench.defenses.errors import UserError, unknown_name
from purification_bench.defenses.plugins import load_plugin
from purification_bench.defenses.spec import option_defaults, split_spec, write_spec
from purification_bench.leaderboard.results.errors import StoreError


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Status 0: done; 1: some cells failed; 2: something asked for cannot be had; 130: Ctrl-C."""
    words = sys.argv[1:] if argv is None else argv
    if list(words) in ([], ["list"]):
        parser, commands = build_parser()
        (commands.choices["list"] if words else parser).print_help()
        return 0
    try:
        args = _parsed(words)
        command = importlib.import_module(f"purification_bench.benchmark.commands.{args.command.replace('-', '_')}")
        status: int = command.run(args)
    except (UserError, StoreError) as error:
        if "--debug" in words:
            traceback.print_exc()
        print(f"bench: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # whoever read what is printed has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nor is it told when Python ends
        return 0
    except OSError as error:
        named = f"{error.filename}: " if error.filename else ""
        print(f"bench: {named}{error.strerror or error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("bench: interrupted; the same command goes on from here", file=sys.stderr)
        return 130
    return status


def _parsed(words: Sequence[str]) -> argparse.Namespace:
    """Read a command line, and load the plug-ins that it names."""
    parser, commands = build_parser()
    args, unknown = parser.parse_known_args(_joined(words))
    for file in args.plugin:
        before = _registered()
        if load_plugin(file) and _registered() == before:
            print(f"bench: warning: plug-in {file!r} registers nothing", file=sys.stderr)
    if unknown:
        hint = _as_option(args.kind, args.name, unknown) if args.command == "train" else None
        flags = commands.choices[args.command]._option_string_actions
        raise hint or unknown_name(f"argument of bench {args.command}:", unknown[0].partition("=")[0], flags)
    return args


def _registered() -> list[str]:
    """Return the names that plug-ins can add to."""
    return [*THREATS, *(name for registry in REGISTRIES.values() for name in registry.names())]


def _as_option(kind: str, text: str, unknown: Sequence[str]) -> UserError | None:
    """Return, where an unknown flag of ``bench train`` is an option of what is trained, how to write it."""
    flag, _, value = unknown[0].partition("=")
    option = flag.removeprefix("--").replace("-", "_")
    name, given = split_spec(text)
    if not flag.startswith("--") or option not in option_defaults(REGISTRIES[f"{kind}s"].get(name)):
        return None
    values = [word for word in (value, *unknown[1:2]) if word and not word.startswith("--")]
    given[option] = values[0] if values else "..."
    return UserError(f"{flag} is an option of {kind} {name!r}: write {write_spec(name, given)!r}")


def _joined(words: Sequence[str]) -> list[str]:
    """Write ``--eps -0.1`` as ``--eps=-0.1``, which argparse does not take for a flag: the message is ours."""
    joined: list[str] = []
    for word in words:
        if joined and joined[-1] == "--eps":
            joined[-1] = f"--eps={word}"
        else:
            joined.append(word)
    return joined


if __name__ == "__main__":
    sys.exit(main())
