"""The worst case alone: nothing that is broken is attacked again, and the headline is the same."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from conftest import SHAPES
from torch import nn

from purification_bench.attacks import guard
from purification_bench.attacks.pursuit import Confirmed, Pursuit
from purification_bench.benchmark.assets import zoo
from purification_bench.benchmark.registries import ATTACKS
from purification_bench.benchmark.run import config, driver
from purification_bench.benchmark.run.plan import plan
from purification_bench.benchmark.run.progress import NoProgress
from purification_bench.benchmark.run.workbench import Workbench
from purification_bench.defenses.plugins import load_plugin
from purification_bench.leaderboard.judging.aggregate import accuracy, standing
from purification_bench.leaderboard.judging.audit import verdict
from purification_bench.leaderboard.judging.checks.evidence import attacked
from purification_bench.leaderboard.judging.layout import lay_out
from purification_bench.leaderboard.results.result import Result
from purification_bench.leaderboard.results.store import Store
from purification_bench.leaderboard.showing.page_boards import Section
from purification_bench.leaderboard.showing.tables.standings import summary
from purification_bench.leaderboard.showing.wording import written

N = 60
MACHINE = {"device": "cpu", "device_name": "a processor", "threads": 2}
NOISY = str(SHAPES).replace("shapes.py", "noisy.py")
ASKED = {
    "datasets": ["shapes"],
    "classifiers": ["matched"],
    "defenses": ["noisy"],
    "references": ["none", "binarize"],
    "attacks": ["fgsm", "pgd[steps=8]", "pgd_restarts[steps=4,restarts=2]", "square[queries=20]"],
    "threats": ["adaptive"],
    "eps": ["mark", 0.28, 0.32],
    "n": N,
    "draws": 2,
    "eot_samples": 2,
    "latency": False,
}


def planned(**more):
    load_plugin(NOISY)
    return plan(config.load("quick", None, {**ASKED, **more}), MACHINE)


@pytest.fixture(scope="module")
def grids(tmp_path_factory):
    """Both grids, computed: the plan and the results of each."""
    made = {}
    for worst_case in (False, True):
        store = Store(tmp_path_factory.mktemp("grid"))
        store.prepare()
        cells = planned(worst_case=worst_case)
        bench = Workbench(torch.device("cpu"), None, zoo.search_path())
        outcome = driver.execute(cells, store, bench, NoProgress())
        assert not outcome.failed, [result.error for result in outcome.failed]
        made[worst_case] = cells, {result.key: result for result in store.results()}
    return made


def board_of(grid):
    (board,) = lay_out(grid[1].values())
    return board


@pytest.mark.parametrize("defense", ["none", "noisy", "binarize"])
@pytest.mark.parametrize("eps", [0.1, 0.28, 0.32])
def test_the_headline_is_that_of_the_full_grid_or_lower(grids, defense, eps):
    full, worst = (board_of(grids[which]) for which in (False, True))
    whole, short = (standing(board, board.rows[defense], eps) for board in (full, worst))
    assert short.clean == whole.clean
    assert short.claimed == whole.claimed
    assert short.robust.value <= whole.robust.value + (0.05 if defense == "noisy" else 0.02)
    assert short.robust.n == whole.robust.n == N


def test_an_attack_passes_over_exactly_what_others_have_broken(grids):
    cells, results = grids[True]
    passed = 0
    for cell in cells.cells:
        if cell.after is None:
            assert results[cell.key].identity.get("after") is None
            continue
        broken = np.zeros(N, dtype=bool)
        for earlier in (results[each.key] for each in cell.after):
            for verdicts in (earlier.clean, earlier.adversarial):
                if verdicts is not None:
                    broken |= verdicts.broken
        assert np.array_equal(results[cell.key].adversarial.before == 1, broken)
        passed += broken.sum()
    assert passed > N


def test_an_image_is_broken_at_most_once(grids):
    _, results = grids[True]
    of_binarize = [r.adversarial.broken for r in results.values() if r.defense == "binarize" and r.partial]
    assert np.stack(of_binarize).sum(axis=0).max() <= 1


def test_gray_box_sets_are_whole_and_shared(grids):
    (_, full), (_, worst) = grids[False], grids[True]
    blind = {key for key, result in worst.items() if not result.partial}
    assert {worst[key].declared.threat.word for key in blind if worst[key].attack} == {"graybox"}
    assert blind <= full.keys()
    for key in blind - {key for key in blind if not full[key].adversarial}:
        assert np.array_equal(full[key].adversarial.reported, worst[key].adversarial.reported)


def test_what_one_attack_leaves_is_not_said_and_nothing_is_audited(grids):
    board = board_of(grids[True])
    row = board.rows["noisy"]
    partial = [column for column, result in row.cells.items() if result.partial]
    assert partial and all(accuracy(row.cells[column]) is None for column in partial)
    assert not set(partial) & set(attacked(row))
    assert verdict(board, row).startswith(("not judged: attacks passed over", "not robust"))


def test_the_page_says_what_is_not_known(grids):
    full, worst = (board_of(grids[which]) for which in (False, True))
    assert "passed over" in written(summary(worst).note)
    assert "passed over" not in written(summary(full).note)
    page = Section(worst, {}).details
    assert "under pgd" in page and "(Linf, whitebox)" not in page
    assert "(Linf, whitebox)" in Section(full, {}).details


def test_partial_results_come_back_as_they_were_stored(grids):
    for result in grids[True][1].values():
        if result.partial:
            again = Result.loads(result.dumps())
            assert np.array_equal(again.adversarial.before, result.adversarial.before)
            assert np.array_equal(again.adversarial.chosen, result.adversarial.chosen)


def test_both_grids_in_one_folder_show_the_full_one(grids):
    together = board_of((None, {**grids[True][1], **grids[False][1]}))
    assert not any(result.partial for row in together.rows.values() for result in row.cells.values())


def never(x, y):
    return torch.zeros(len(x), dtype=torch.bool)


@pytest.mark.parametrize("name", ["pgd[steps=6,random_start=false]", "bim[steps=6]"])
def test_where_nothing_breaks_the_steps_are_those_of_torchattacks(name, shapes):
    images, model = shapes
    x, y, attack = images.x[:20], images.y[:20], ATTACKS.create(name)
    (expected,) = guard.run(attack, model, x, y, [0.1], [0])
    assert torch.equal(guard.pursue(attack, Pursuit(model, never, batch=7), x, y, 0.1, 0), expected)


def test_a_broken_image_is_left_as_it_was_when_it_broke(mnist):
    images, model = mnist
    x, y = images.x[:40], images.y[:40]
    broken = Confirmed(model, 1)
    before, first, last = (
        guard.pursue(ATTACKS.create(f"bim[steps={steps},alpha=0.03]"), Pursuit(model, broken), x, y, 0.2, 0)
        for steps in (3, 4, 9)
    )
    caught = broken(before, y) & broken(first, y)  # after four steps, those are looked at that were wrong after three
    assert caught.any() and not caught.all()
    assert torch.equal(first[caught], last[caught])
    assert not torch.equal(first[~caught], last[~caught])


def test_it_goes_on_from_what_a_smaller_size_found(shapes):
    images, model = shapes
    x, y, attack = images.x[:20], images.y[:20], ATTACKS.create("pgd[steps=1,alpha=0.1]")
    start = (x + 0.05).clamp(0, 1)
    x_adv = guard.pursue(attack, Pursuit(model, never), x, y, 0.1, 0, start)
    assert float((x_adv - x).abs().max()) <= 0.1 + 1e-6
    assert not torch.equal(x_adv, guard.pursue(attack, Pursuit(model, never), x, y, 0.1, 0))


def test_all_draws_must_be_wrong():
    class Coin(nn.Module):
        def forward(self, x):
            wrong = (torch.rand(len(x)) < x[:, 0, 0, 0]).float()
            return torch.stack([1 - wrong, wrong], dim=1)

    torch.manual_seed(0)
    x = torch.tensor([0.0, 0.5, 1.0])[:, None, None, None].expand(3, 1, 2, 2)
    y = torch.zeros(3, dtype=torch.long)
    assert Confirmed(Coin(), 30)(x, y).tolist() == [False, False, True]


def test_the_flags(bench, tmp_path):
    status, _, err = bench("run", "--worst-case", "--full-grid", "--out", tmp_path)
    assert status == 2 and err.count("\n") == 1
    words = ("--preset", "adaptive", "--worst-case", "--dry-run", "--defenses", "binarize", "-n", 5, "--out", tmp_path)
    assert bench("run", *words)[0] == 0
