"""What built-in classes say is remembered, as long as the files that say it are the same."""

from __future__ import annotations

import msgspec
import pytest
from conftest import BROKEN

from purification_bench.benchmark import facts
from purification_bench.benchmark.memo import Memo
from purification_bench.benchmark.paths import cache_dir
from purification_bench.benchmark.registries import ATTACKS, CLASSIFIERS, DATASETS, DEFENSES
from purification_bench.defenses.errors import UserError
from purification_bench.defenses.plugins import load_plugin

KINDS = {
    facts.of_dataset: (DATASETS, facts.DatasetFacts),
    facts.of_classifier: (CLASSIFIERS, facts.ClassifierFacts),
    facts.of_defense: (DEFENSES, facts.DefenseFacts),
    facts.of_attack: (ATTACKS, facts.AttackFacts),
}


@pytest.fixture
def memo(monkeypatch):
    made = Memo()
    monkeypatch.setattr(facts, "MEMO", made)
    return made


def count(memo, question="q", answer=3):
    """Ask a built-in a question; return what it says, and whether it was asked."""
    asked = []
    said = memo.recall(DEFENSES, "median", question, int, lambda: asked.append(1) or answer)
    return said, bool(asked)


@pytest.mark.parametrize("of", KINDS, ids=lambda of: of.__name__)
def test_facts_survive_being_remembered(of, memo):
    registry, kind = KINDS[of]
    for name in registry._builtins:
        said = of(name)
        assert msgspec.json.decode(msgspec.json.encode(said), type=kind) == said
        assert of(name) == of(said.spec) == said
        assert said.version == getattr(registry.get(name), "version", "1")


def test_a_question_is_asked_once_even_by_another_process(memo):
    assert count(memo) == (3, True)
    assert count(memo) == (3, False)
    memo.save()
    assert count(Memo(), answer=4) == (3, False)
    assert count(Memo(), "another", answer=4) == (4, True)


def test_an_edited_file_is_asked_again(memo, monkeypatch):
    count(memo)
    memo.save()
    later = Memo()
    monkeypatch.setattr(later, "_digest", lambda module: f"another {module}")
    assert count(later, answer=4) == (4, True)


def test_a_question_that_is_asked_otherwise_is_asked_again(memo, monkeypatch):
    """Whoever asks has other answers to give when its own file is edited: another field, another meaning."""
    assert facts.of_defense("median").spec.label == "median"
    memo.save()
    later = Memo()
    known = later._digest
    monkeypatch.setattr(later, "_digest", lambda module: "edited" if module == facts.__name__ else known(module))
    asked = []
    monkeypatch.setattr(facts, "MEMO", later)
    monkeypatch.setattr(facts, "_defense", lambda spec, make=facts._defense: asked.append(spec) or make(spec))
    facts.of_defense("median")
    assert asked


def test_a_plugin_is_asked_each_time(memo):
    load_plugin(BROKEN)
    for _ in range(2):
        asked = []
        memo.recall(DEFENSES, "raises", "q", int, lambda asked=asked: asked.append(1) or 3)
        assert asked


def test_a_refusal_is_not_remembered(memo):
    for _ in range(2):
        with pytest.raises(UserError, match="steps must be at least 1"):
            facts.of_attack("pgd[steps=0]")


def test_a_broken_cache_costs_time_and_nothing_else(memo):
    cache_dir().mkdir(parents=True, exist_ok=True)
    (cache_dir() / "facts.json").write_text("{")
    assert count(memo) == (3, True)
    memo.save()
    assert count(Memo()) == (3, False)


def test_a_cache_that_cannot_be_written_is_done_without(memo):
    cache_dir().parent.mkdir(parents=True, exist_ok=True)
    cache_dir().write_text("a file where the folder would be")
    assert count(memo) == (3, True)
    memo.save()
    assert count(memo) == (3, False)


def test_what_the_machine_says_is_remembered_for_this_torch(memo):
    assert memo.of_machine("threads", int, lambda: 2) == 2
    assert memo.of_machine("threads", int, lambda: 3) == 2


def test_flags_that_follow_from_options_are_told_for_those(memo):
    assert facts.of_defense("cae").stochastic
    assert not facts.of_defense("cae[noise=0]").stochastic
    assert facts.of_defense("defensegan[steps=3]").training.label == facts.of_defense("defensegan").training.label
    assert facts.of_attack("pgd[steps=7]").times == 7
