"""The keys of every committed cell are those that the code computes from its commands, byte for byte."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from purification_bench.benchmark import cli
from purification_bench.benchmark.assets.zoo import MANIFEST
from purification_bench.benchmark.commands import audit, certify, reproduce, run
from purification_bench.benchmark.run.cells import LatencyCell, Plan
from purification_bench.benchmark.run.plan import plan
from purification_bench.defenses.plugins import load_plugin
from purification_bench.leaderboard.results.result import STANDARD
from purification_bench.leaderboard.results.store import Store

ROOT = Path(__file__).parent.parent
STORES = {name: Store(ROOT / "leaderboard" / name) for name in ("published", "reproduction", "controls")}
CERTIFY = "bench certify "
LINES = {name: [line for line in store.commands() if not line.startswith(CERTIFY)] for name, store in STORES.items()}
RUN = [(name, line) for name in ("published", "reproduction") for line in LINES[name]]
CPU = "cpu"
ANY_MACHINE = {"device": "cpu", "device_name": "any", "threads": 1}


@cache
def results(store: str):
    return list(STORES[store].results())


@pytest.fixture(scope="session")
def zoo(tmp_path_factory) -> Path:
    """A manifest of the classifiers that are not shipped: what their cells say of them is all that keys hold."""
    entries = {}
    for result in results("reproduction"):
        classifier = result.identity["classifier"]
        if result.protocol != STANDARD:
            entries[classifier["weights"]] = {
                "kind": "classifier", "name": classifier["name"], "label": classifier["label"],
                "dataset": result.dataset.partition("[")[0], "classifier": None, "options": classifier["options"],
                "file": "not-shipped.safetensors", "sha256": classifier["weights"], "versions": {},
                **result.facts["classifier"],
            }  # fmt: skip
    folder = tmp_path_factory.mktemp("zoo")
    (folder / MANIFEST).write_text(json.dumps(list(entries.values())))
    return folder


def planned(line: str, machine: dict, zoo: Path) -> Plan:
    """Return what a command line asks for, on a machine."""
    args = cli.build_parser()[0].parse_args(shlex.split(line)[1:])
    args.zoo = zoo
    for file in args.plugin or ():
        load_plugin(ROOT / file)
    if args.command == "reproduce":
        return reproduce.planned_tables(args, reproduce.tables_asked(args), CPU, machine)
    asked = (run if args.command == "run" else audit).configured(args)
    return plan(replace(asked, latency=args.command == "run" and asked.latency), machine, zoo)


def machines(store: str) -> list[dict]:
    """Return the machines that a store's latencies were timed on."""
    known = [result.identity["machine"] for result in results(store) if result.kind == "latency"]
    return [dict(machine) for machine in {tuple(sorted(one.items())) for one in known}]


@pytest.mark.parametrize(("store", "line"), RUN, ids=[line for _, line in RUN])
def test_every_command_was_run_to_its_end(store, line, zoo):
    """A latency is keyed by the machine: of it there may be none from this one."""
    asked = planned(line, ANY_MACHINE, zoo)
    cells = {cell.key for cell in asked.cells if not isinstance(cell, LatencyCell)}
    assert cells <= {result.key for result in results(store) if result.ok}


@pytest.mark.parametrize("store", STORES)
def test_every_committed_cell_is_one_that_a_command_makes(store, zoo):
    here = machines(store) or [ANY_MACHINE]
    made = {cell.key for line in LINES[store] for machine in here for cell in planned(line, machine, zoo).cells}
    kept = {result.key for result in results(store)}
    assert len(kept) > 300
    assert kept <= made


def test_what_is_certified_is_what_commands_certify(zoo):
    keys = set()
    for line in STORES["published"].commands():
        if line.startswith(CERTIFY):
            args = cli.build_parser()[0].parse_args(shlex.split(line)[1:])
            asked = plan(certify.configured(args), ANY_MACHINE, zoo)
            keys |= {each.key for each in certify.to_certify(asked, args)}
    assert keys == {certificate.key for certificate in STORES["published"].certificates()}
