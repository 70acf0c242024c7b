"""bench reproduce: the seed paper's numbers are the paper's, and what is measured stands beside them."""

from __future__ import annotations

import argparse
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from make_results import ENVIRONMENT, latency, result
from shown import column, headers, note, rows

from purification_bench.attacks import protocol
from purification_bench.benchmark import reproduction
from purification_bench.benchmark.assets import zoo
from purification_bench.benchmark.commands.reproduce import planned_tables
from purification_bench.benchmark.registries import ATTACKS, CLASSIFIERS, DATASETS, DEFENSES
from purification_bench.leaderboard.judging.layout import lay_out
from purification_bench.leaderboard.mandal2023 import figures, published
from purification_bench.leaderboard.mandal2023.measured import RELEASED, Measured
from purification_bench.leaderboard.mandal2023.pictures import FIGURES
from purification_bench.leaderboard.mandal2023.tables import SECTIONS
from purification_bench.leaderboard.results.result import STANDARD
from purification_bench.leaderboard.results.store import EXAMPLES, LEADERBOARD, REPRODUCTION, Store

CPU = "cpu"
MACHINE = {"device": "cpu", "device_name": "a processor", "threads": 2}
PGD_OPTIONS = {"against": "pgd", "eps": 0.15, "latent_dim": 10, "noise": 1.0}
FGSM_OPTIONS = {"against": "fgsm", "eps": 0.6, "latent_dim": 10, "noise": 1.0}


def measured(defense="none", attack=None, eps=0.0, adversarial=None, *, options=None, protocol=None, **more):
    """A result before VGG-16 (conv8 under another protocol)."""
    made = result(defense, attack, eps, adversarial=adversarial, **more)
    classifier = {**made.identity["classifier"], "label": "conv8" if protocol else "vgg16"}
    identity = {**made.identity, "classifier": classifier}
    identity["defense"] = {**identity["defense"], "name": defense.partition("[")[0], "options": options or {}}
    return replace(made, identity={**identity, **({"protocol": protocol} if protocol else {})})


def timed(cell):
    """The latency of the purifier that a result is of."""
    made = latency(cell.identity["defense"]["name"])
    return replace(
        made, identity={**made.identity, **{name: cell.identity[name] for name in ("classifier", "defense")}}
    )


def made(name, *results):
    return SECTIONS[name].make(Measured(lay_out(results)))


def test_the_papers_numbers_are_all_there():
    counts = {table: len(published.of_table(table)) for table in ("1a", "1b", "2", "3")}
    assert counts == {"1a": 20, "1b": 12, "2": 8, "3": 4}
    assert [n.value for n in published.of_table("3", "latency_seconds")] == [14.8, 0.11, 0.008]
    (cell,) = (n for n in published.of_table("1a") if (n.dataset, n.eps) == ("mnist", 0.6))
    assert cell.value == 0.2648


def test_every_size_of_the_paper_is_run():
    assert published.sizes("1a") == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 1.0, 1.5]
    assert published.sizes("1b") == [0.05, 0.1, 0.15, 0.2, 0.3]
    for table, attack in (("1a", "fgsm"), ("1b", "pgd")):
        alone = next(part for part in reproduction.PARTS if part.table == table)
        assert (alone.asked["attacks"], alone.asked["eps"]) == ([attack], published.sizes(table))


def test_the_papers_auto_encoders_are_called_what_the_registry_calls_them():
    for attack, label in published.AUTO_ENCODERS.items():
        spec = DEFENSES.spec(label)
        trained_on = {(n.attack, n.eps) for n in published.of_table("2") if n.attack == attack}
        assert spec.label == label and trained_on == {(spec.options["against"], spec.options["eps"])}


def test_both_sides_call_the_standard_protocol_the_same():
    assert protocol.STANDARD == STANDARD and RELEASED in protocol.PROTOCOLS


@pytest.mark.parametrize("part", reproduction.PARTS, ids=lambda part: f"{part.table}-{part.asked.get('attacks')}")
def test_every_part_names_what_there_is(part):
    asked = reproduction.configured(part, "mnist", None, CPU, latency=True)
    assert asked is not None and asked.n == part.n_cpu and asked.datasets == ("mnist",)
    for registry, texts in ((DEFENSES, asked.defenses), (ATTACKS, asked.attacks), (CLASSIFIERS, asked.classifiers)):
        for text in texts:
            registry.spec(text)


def test_attackers_who_see_the_purifier_have_attacks_of_their_own():
    part = next(part for part in reproduction.PARTS if part.table == "adaptive")
    asked = reproduction.configured(part, "mnist", None, CPU, latency=True)
    assert asked.attacks_of("cae", "whitebox") == ("pgd[steps=20]",)
    assert asked.attacks_of("cae", "blackbox") == ("square[queries=500]",)
    assert asked.attacks_of("defensegan", "blackbox") == ("square[queries=200]",)
    assert (asked.n_of("cae", "bpda"), asked.n_of("defensegan", "bpda")) == (200, 50)


def test_fewer_images_are_fewer_for_slow_defenses_too():
    part = next(part for part in reproduction.PARTS if part.overrides_cpu)
    alone = reproduction.configured(part, "mnist", None, CPU, latency=True)
    assert [alone.n_of("defensegan")] == [said.n for said in part.overrides_cpu]
    few = reproduction.configured(part, "mnist", 8, CPU, latency=True)
    assert (few.n, few.n_of("defensegan")) == (8, 8)
    on_gpu = reproduction.configured(part, "mnist", None, "cuda", latency=True)
    assert on_gpu.n_of("defensegan") == part.n


def test_a_part_without_the_dataset_is_left_out():
    part = next(part for part in reproduction.PARTS if part.table == "3")
    assert reproduction.configured(part, "fashion_mnist", None, CPU, latency=True) is None


def test_table_1_sets_both_protocols_beside_the_published_figure():
    (table,) = made(
        "1a",
        measured(attack="fgsm", eps=0.1, adversarial=(1, 1, 1, 0)),
        measured(attack="fgsm_released", eps=0.1, adversarial=(1, 0, 0, 0), protocol="as-released"),
    )
    row = next(row for row in rows(table) if row[0] == "0.1")
    assert row[1:4] == ["90.99", "75.0 [30.1, 95.4]", "-16.0"]
    assert row[5:7] == ["25.0 [4.6, 69.9]", "-66.0"]
    assert [row[0] for row in rows(table) if row[0].endswith("*")] == ["0.5*", "0.6*", "0.7*", "1*", "1.5*"]
    assert next(row for row in rows(table) if row[0] == "0.2")[2:4] == ["—", "—"]


def test_the_released_codes_rules_are_left_out_one_at_a_time():
    attack, clipped = {"attack": "fgsm_released", "eps": 0.1}, (1, 0, 0, 0)
    tables = made(
        "1a",
        measured(**attack, adversarial=clipped, protocol="as-released"),
        measured(attack="fgsm_released[clip=false]", eps=0.1, adversarial=(0, 0, 0, 0), protocol="as-released"),
        measured(**attack, adversarial=(1, 1, 1, 1), protocol="as-released-eval"),
    )
    assert column(tables[0], "as-released (conv8)", 1) == "25.0 [4.6, 69.9]"
    first = rows(tables[1])[0]
    assert headers(tables[1]) == ["eps", "published, mnist", "as-released", "clip=false", "eval mode", "n"]
    assert [cell.split()[0] for cell in first] == ["0.1", "90.99", "25.0", "0.0", "100.0", "4"]


def test_table_2_takes_each_auto_encoder_under_its_own_attack():
    attacks = (("fgsm", 0.6), ("pgd", 0.15))
    results = [measured("none", *attack, (0, 0, 0, 0)) for attack in attacks]
    for label, options in (("cae", FGSM_OPTIONS), ("cae[against=pgd,eps=0.15]", PGD_OPTIONS)):
        results += [measured(label, *attack, (1, 1, 1, 1), options=options) for attack in attacks]
    (table,) = made("2", *results)
    assert [row[:3] for row in rows(table)] == [
        ["fgsm 0.6*", "mnist", "none"],
        ["fgsm 0.6*", "mnist", "cae"],
        ["pgd 0.15", "mnist", "none"],
        ["pgd 0.15", "mnist", "cae[against=pgd,eps=0.15]"],
    ]
    assert column(table, "difference", 1) == "+7.9"


def test_clean_accuracy_is_that_of_the_attacked_images():
    few = measured("cae", "fgsm", 0.6, (1, 1, 1, 1), clean=(1, 1, 1, 1), options=FGSM_OPTIONS)
    many = measured("cae", clean=(1, 1, 1, 1, 0, 0, 0, 0), options=FGSM_OPTIONS)
    for name in ("2", "3"):
        (table,) = made(name, few, many)
        assert column(table, "clean").startswith("100.0") and column(table, "n") == "4"


def test_table_3_gives_latency_in_seconds_beside_the_published_one():
    cell = measured("cae", "fgsm", 0.6, (1, 1, 1, 1), options=FGSM_OPTIONS)
    half = measured("cae", "fgsm", 0.3, (1, 0, 0, 0), options=FGSM_OPTIONS)
    (table,) = made("3", cell, half, timed(cell))
    assert column(table, "measured").startswith("100.0") and column(table, "at 0.3").startswith("25.0")
    assert column(table, "published s") == "0.008" and column(table, "p50 s") == "0.001"
    assert column(table, "timed on") == "a processor (cpu, 2 threads)"


def test_table_3_is_left_out_where_no_defense_was_attacked():
    assert made("3", measured("none", clean=(1, 1, 1, 0)), measured("cae", options=FGSM_OPTIONS)) == []


def test_the_matrix_gives_mean_and_worst_over_columns_that_all_rows_met():
    results = []
    for label, options, right in (("none", {}, 1), ("cae", FGSM_OPTIONS, 3)):
        verdicts = [1] * right + [0] * (4 - right)
        results.append(measured(label, options=options))
        for attack in (("fgsm", 0.3), ("fgsm", 1.0), ("pgd", 0.15), ("grey", 0.6)):
            results.append(measured(label, *attack, verdicts, options=options))
    results += [measured("cae", "fgsm", 0.6, (0, 0, 0, 0), options=FGSM_OPTIONS), timed(results[-1])]
    summary, fgsm, grey, pgd = made("matrix", *results)
    assert [t.title for t in (fgsm, grey, pgd)] == ["mnist: fgsm", "mnist: grey", "mnist: pgd"]
    assert headers(fgsm) == ["defense", "clean", "0.3", "1*", "n"] and "bounds nothing" in note(fgsm)
    assert "needs no gradient" in note(grey)
    assert [[cell.split()[0] for cell in row] for row in rows(summary)] == [
        ["none", "41.7", "25.0", "—", "—", "4"],
        ["cae", "75.0", "75.0", "0.001", "a", "4"],
    ]
    assert column(summary, "worst") == "25.0 [4.6, 69.9]"


def test_the_matrix_is_over_the_same_images():
    many = {"clean": (1, 1, 1, 1, 0, 0, 0, 0)}
    results = [measured("none", **many), measured("none", "fgsm", 0.3, (0, 0, 0, 0, 1, 1, 1, 1), **many)]
    results += [measured("cae", options=FGSM_OPTIONS), measured("cae", "fgsm", 0.3, (1, 1, 1, 1), options=FGSM_OPTIONS)]
    _, fgsm = made("matrix", *results)
    assert [column(fgsm, "n", row) for row in (0, 1)] == ["4", "4"]
    assert column(fgsm, "clean", 0).startswith("100.0") and column(fgsm, "0.3", 0).startswith("0.0")


def test_another_split_is_not_taken_for_the_papers():
    assert (
        made("1a", measured(attack="fgsm", eps=0.1, adversarial=(1, 1, 1, 0), dataset="mnist[split=validation]")) == []
    )


@pytest.mark.parametrize("count", [1, 4])
def test_few_images_are_drawn_too(tmp_path, count):
    few = {name: np.zeros((count, 1, 28, 28), np.uint8) for name in EXAMPLES}
    more = {name: np.zeros((8, 1, 28, 28), np.uint8) for name in EXAMPLES}
    assert figures.samples({"mnist": few, "fashion_mnist": more}, tmp_path / "samples.png")
    assert figures.sizes({"mnist": {0.1: few, 0.2: more}}, tmp_path / "sizes.png")
    assert figures.reconstructions({("mnist", "fgsm", 0.6): few}, tmp_path / "reconstructions.png")


def test_a_folder_of_other_results_is_left_alone(bench, tmp_path):
    store = Store(tmp_path / "results")
    store.prepare()
    store.record_command("bench run --attacks fgsm")
    status, _, err = bench("reproduce", "--table", "1a", "--out", "results", "--dry-run")
    assert status == 2 and err == "bench: --out 'results' holds the results of other commands: give another folder\n"
    assert store.kind == LEADERBOARD


def test_nothing_else_is_filed_in_its_folder(bench, tmp_path):
    store = Store(tmp_path / "reproduction")
    store.prepare()
    store.record_command("bench reproduce --table 1a")
    assert store.kind == REPRODUCTION
    for words in (("run", "--attacks", "fgsm"), ("audit", "none")):
        status, _, err = bench(*words, "--out", "reproduction")
        says = "--out 'reproduction' holds the results of bench reproduce: give another folder"
        assert status == 2 and err == f"bench: {says}\n"


def test_every_table_and_figure_is_named_wherever_they_are_listed(bench):
    assert list(SECTIONS) == list(dict.fromkeys(part.table for part in reproduction.PARTS))
    described = bench("reproduce", "--help")[1]
    assert ", ".join(SECTIONS) in " ".join(described.split())
    assert f"--figure LIST {', '.join(FIGURES)}" in " ".join(described.split())
    assert {figure.table for figure in FIGURES.values()} <= set(SECTIONS)


def test_a_table_that_is_not_of_the_dataset_is_told_and_left_out(bench, monkeypatch):
    parts = [part for part in reproduction.PARTS if part.table in ("1b", "3") and not part.needs_training]
    monkeypatch.setattr("purification_bench.benchmark.commands.reproduce.PARTS", parts)
    status, out, err = bench("reproduce", "--table", "1b,3", "--dataset", "fashion_mnist", "-n", "2", "--dry-run")
    assert status == 0 and out.startswith("6 of 6 cells to compute")
    assert err == "bench: warning: table 3 is left out: it is made for mnist only\n"


def test_a_cell_of_two_tables_is_planned_once(monkeypatch):
    parts = [part for part in reproduction.PARTS if part.table in ("1a", "3") and not part.needs_training]
    monkeypatch.setattr("purification_bench.benchmark.commands.reproduce.PARTS", parts)
    asked = argparse.Namespace(dataset="mnist", n=4, no_latency=True, data_dir=None, zoo=None)
    keys = [cell.key for cell in planned_tables(asked, ["1a", "3"], CPU, MACHINE).cells]
    assert len(keys) == len(set(keys))
    alone = [cell.key for name in ("1a", "3") for cell in planned_tables(asked, [name], CPU, MACHINE).cells]
    assert set(keys) == set(alone) and len(alone) > len(keys)


def test_the_page_of_such_a_store_is_this_one_and_draws_the_papers_figures(tmp_path, bench):
    store = Store(tmp_path / "reproduction")
    store.prepare()
    generator = np.random.default_rng(0)
    images = {
        name: generator.integers(0, 256, (8, 1, 28, 28), np.uint8) for name in ("clean", "adversarial", "purified")
    }
    for label, options in (("none", {}), ("cae", FGSM_OPTIONS)):
        for eps in (0.1, 0.6):
            store.put(measured(label, "fgsm", eps, (1, 1, 0, 0), options=options), images)
    store.record_command("bench reproduce --table 1a,2")
    status, out, err = bench("report", store.root)
    assert status == 0, err
    page = Path(out.strip()).read_text()
    assert "Table 1a" in page and "bench reproduce --table 1a,2" in page
    drawn = {path.name for path in (store.root / "figures").iterdir()}
    assert drawn == {"figure-2.png", "figure-3.png", "figure-6.png"}
    assert all(f"figures/{name}" in page for name in drawn)
    assert ENVIRONMENT["device_name"] in page


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--table", "1c"), "unknown table '1c'; did you mean '1"),
        (("--figure", "5"), "unknown figure '5'"),
        (("--dataset", "cifar10"), "unknown dataset of the paper: 'cifar10'"),
        (("--table", "1a", "-n", "0"), "-n must be at least 1, not 0"),
        (
            ("--table", "3", "--dataset", "fashion_mnist"),
            "nothing to reproduce: table 3 is left out: it is made for mnist",
        ),
    ],
)
def test_what_cannot_be_had_is_one_line(bench, words, says):
    status, _, err = bench("reproduce", *words)
    assert status == 2 and says in err and err.count("\n") == 1


FACTS = {"command": "", "seed": 0, "epochs": 1, "train_images": 1, "validation": {}, "date": "", "versions": {}}


@pytest.fixture(scope="module")
def untrained(tmp_path_factory):
    """Weights of VGG-16 and two auto-encoders as they are made."""
    folder, dataset = tmp_path_factory.mktemp("zoo"), DATASETS.create("mnist")
    torch.manual_seed(0)
    for registry, kind, target, texts in (
        (CLASSIFIERS, "classifier", None, ("vgg16",)),
        (DEFENSES, "defense", "vgg16", ("cae", "cae[latent_dim=32,noise=0.1]")),
    ):
        for spec in map(registry.spec, texts):
            if kind == "classifier":
                model = registry.create(spec, dataset.shape, dataset.num_classes)
            else:
                model = registry.create(spec)
                model.build(dataset.shape, dataset.num_classes)
            zoo.add(folder, model, storage="half", kind=kind, name=spec.name, label=spec.label, dataset="mnist",
                    classifier=target, options=dict(spec.options), **FACTS)  # fmt: skip
    return folder


def test_it_computes_once_and_shows_what_it_computed(bench, tmp_path, untrained, monkeypatch):
    parts = [part for part in reproduction.PARTS if part.table == "2" and part.asked["attacks"] == ["fgsm"]]
    monkeypatch.setattr("purification_bench.benchmark.commands.reproduce.PARTS", parts)
    words = ("reproduce", "--figure", "6", "--dataset", "mnist", "-n", "4", "--zoo", untrained)
    assert re.fullmatch(r"6 of 6 cells to compute on cpu: .+\n", bench(*words, "--dry-run")[1])
    status, out, err = bench(*words)
    assert status == 0, err
    assert "Table 2" in out and "6 cells computed" in out
    page = (tmp_path / "reproduction" / "README.md").read_text()
    assert "bench reproduce --figure 6 --dataset mnist -n 4 --zoo" in page
    assert bench(*words)[1].count("0 cells computed") == 1


def test_without_the_released_codes_classifier_its_part_is_left_out(bench, monkeypatch):
    parts = [part for part in reproduction.PARTS if part.needs_training and part.table == "1a"]
    monkeypatch.setattr("purification_bench.benchmark.commands.reproduce.PARTS", parts)
    status, out, err = bench("reproduce", "--table", "1a", "-n", "2", "--dry-run")
    assert status == 0 and out == "0 of 0 cells to compute on cpu: a second.\n"
    assert err.count("left out: no weights for classifier 'conv8'") == 2
    assert "bench train classifier conv8 --dataset fashion_mnist" in err
