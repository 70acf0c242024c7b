"""Units of work: plain data that any process computes to the same bits; a threat and an attack that plug in."""

from __future__ import annotations

import json
import pickle
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
import torch
from conftest import SHAPES

from purification_bench.attacks.threat import THREATS
from purification_bench.benchmark.assets import zoo
from purification_bench.benchmark.run import config
from purification_bench.benchmark.run.cells import Cell, Plan
from purification_bench.benchmark.run.executors.local import LocalExecutor
from purification_bench.benchmark.run.made import CellResult
from purification_bench.benchmark.run.plan import plan
from purification_bench.benchmark.run.progress import NoProgress
from purification_bench.benchmark.run.units import AttackUnit, CleanUnit, LatencyUnit, Unit, units_of
from purification_bench.benchmark.run.workbench import Workbench
from purification_bench.defenses.plugins import load_plugin
from purification_bench.leaderboard.judging import audit
from purification_bench.leaderboard.judging.boards import Board
from purification_bench.leaderboard.judging.layout import lay_out
from purification_bench.leaderboard.results.result import Result

TIMINGS = ("seconds", "created", "environment")
MACHINE = {"device": "cpu", "device_name": "a processor", "threads": 2}
SNIPER = str(Path(SHAPES).with_name("sniper.py"))
NOISY = str(Path(SHAPES).with_name("noisy.py"))
FLAGS = {
    "datasets": ["shapes"],
    "classifiers": ["matched"],
    "defenses": ["noisy"],
    "references": ["none"],
    "attacks": ["fgsm", "pgd[steps=4]"],
    "threats": ["graybox", "whitebox"],
    "eps": [0.1, 0.3],
    "n": 12,
    "draws": 2,
    "batch_size": 5,
    "latency": False,
}


def planned(**changes) -> Plan:
    load_plugin(NOISY)
    return plan(config.load("quick", None, {**FLAGS, **changes}), MACHINE)


def workbench() -> Workbench:
    return Workbench(torch.device("cpu"), None, zoo.search_path())


def results_of(units, bench: Workbench) -> list[Result]:
    """Return the results of units, in one process."""
    made = LocalExecutor(bench, None, NoProgress()).run(units)
    return [one.result for one in made if isinstance(one, CellResult)]


def bits(unit: Unit, bench: Workbench) -> list[str]:
    """Return what a unit's results say, without clock and timings."""
    rows = [json.loads(result.dumps()) for result in results_of([unit], bench)]
    return [json.dumps({k: v for k, v in row.items() if k not in TIMINGS}) for row in rows]


def computed_elsewhere(packed: bytes) -> list[str]:
    """Compute a unit in a process that knows nothing else: plug-ins are loaded, everything else is in the unit."""
    for file in (SHAPES, NOISY):
        load_plugin(file)
    return bits(pickle.loads(packed), workbench())


def plain(value: object) -> bool:
    """Say whether a value is made of strings and numbers alone."""
    if hasattr(value, "__dataclass_fields__"):
        return all(plain(getattr(value, name)) for name in value.__dataclass_fields__)
    if isinstance(value, dict):
        return all(map(plain, value.values()))
    if isinstance(value, tuple | list):
        return all(map(plain, value))
    return value is None or isinstance(value, str | int | float | bool)


def test_units_are_strings_and_numbers():
    units = units_of(planned(latency=True).cells)
    assert {type(unit) for unit in units} == {CleanUnit, AttackUnit, LatencyUnit}
    assert all(map(plain, units))


def test_every_cell_is_in_one_unit():
    cells = planned(latency=True).cells
    grouped = [cell for unit in units_of(cells) for cell in unit.cells]
    assert sorted(cell.key for cell in grouped) == sorted(cell.key for cell in cells)


def test_one_gray_box_unit_serves_every_defense():
    shared = [unit for unit in units_of(planned().cells) if isinstance(unit, AttackUnit) and not unit.cells[0].seen]
    assert {cell.defense.spec.label for unit in shared for cell in unit.cells} == {"none", "noisy"}
    assert len(shared) == 2


def test_a_spawned_process_gives_the_same_bits():
    units = [unit for unit in units_of(planned().cells) if isinstance(unit, AttackUnit)]
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        elsewhere = list(pool.map(computed_elsewhere, map(pickle.dumps, units)))
    bench = workbench()
    assert [bits(unit, bench) for unit in units] == elsewhere


def test_what_no_unit_needs_any_more_is_dropped():
    units = units_of(planned().cells)
    bench = workbench()
    left = []
    for _ in LocalExecutor(bench, None, NoProgress()).run(units):
        left.append(len(bench._kept))
    assert max(left) > 4
    assert {place[0] for place in bench._kept} == {"dataset"}


@pytest.fixture
def sniper():
    """The plug-in's threat, for as long as the test lasts."""
    load_plugin(SNIPER)
    from purification_bench.attacks import threat

    kept = dict(THREATS)
    yield
    threat.THREATS.clear()
    threat.THREATS.update({word: each for word, each in kept.items() if word != "halfway"})


def judged(cells: tuple[Cell, ...]) -> Board:
    """Compute cells and lay them out."""
    results = results_of(units_of(cells), workbench())
    assert all(result.ok for result in results), [result.error for result in results]
    (board,) = lay_out(results)
    return board


def test_a_threat_and_an_attack_that_plug_in_are_run_and_judged_as_ours(sniper):
    """The threat is one entry and one view, the attack one file: the headline asks for the threat, and takes it."""
    usual = ["graybox", "bpda", "whitebox"]
    for attack, threats in (("pgd[steps=20]", usual), ("mifgsm[steps=20]", [*usual, "halfway"])):
        board = judged(planned(attacks=[attack], threats=threats, defenses=["median"], eps=[0.1]).cells)
        row = board.rows["median"]
        assert {column.threat.word for column in board.headline(row, board.mark)} == set(threats)
        assert all(column.traits.descends for column in board.columns)
        states = {finding.check: finding.state for finding in audit.audit(board, row)}
        assert states["the attacks work at all"] != "not run"
        assert states["the objective improves"] != "not run"
