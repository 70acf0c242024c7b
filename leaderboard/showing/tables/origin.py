"""Where a board's numbers come from: weights and their training, attack settings, machines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from purification_bench.leaderboard.judging.boards import Board, Row
from purification_bench.leaderboard.results.result import Result
from purification_bench.leaderboard.showing.names import row_name
from purification_bench.leaderboard.showing.table import Table, words
from purification_bench.leaderboard.showing.values import (
    UNSAID,
    Digest,
    Missing,
    Name,
    Strong,
    Text,
    Value,
    listing,
    names,
    spaced,
    text,
)

KNOWLEDGE = {
    "none": "nothing",
    "clean": "clean images",
    "classifier": "the classifier",
    "attack": "an attack",
}
PACKAGES = ("purification-bench", "torch", "torchattacks")
SETTINGS_NOTE = text(
    "An option that is not named follows from the others; ", Name("bench list attacks"), " says what each attack is."
)


def settings(board: Board) -> Table:
    """Every option of every attack of a board."""
    options = {
        column.attack: result.identity["attack"]["options"]
        for row in board.rows.values()
        for column, result in row.cells.items()
    }
    rows = [[Name(attack), listing(_given(options[attack]))] for attack in sorted(options)]
    return Table("Attack settings", words("attack", "options"), rows, SETTINGS_NOTE)


def _given(options: Mapping[str, object]) -> Iterable[Text]:
    for name, value in options.items():
        if value is not None:
            said = ("yes" if value else "no") if isinstance(value, bool) else str(value)
            yield text(f"{name} {said}")


def provenance(board: Board, title: str = "Defenses and their weights") -> Table:
    """Say what each row is: its full name, where it was published, whose weights it has; seed and batch plan."""
    first = next(iter(board.rows.values())).newest
    classifier = text(Name(board.classifier), " (classifier)")
    target, trained = first.identity["classifier"]["weights"], first.facts["classifier"]
    rows: list[list[Value]] = [[classifier, Missing(), Missing(), Missing(), _digest(target), _command(trained)]]
    for row in board.rows.values():
        result, paper = row.newest, row.newest.paper
        rows.append(
            [
                row_name(board, row),
                Name(row.defense),
                text(paper) if paper else Missing(),
                trained_on(result),
                _digest(result.identity["defense"]["weights"]),
                _command(result.facts.get("weights")),
            ]
        )
    plan = first.identity.get("batch", {})
    batches = ", ".join(f"{step} {images}" for step, images in plan.items())
    ran = text(f"Seed {board.seed}; batch plan: {batches}.") if plan else UNSAID
    headings = words("row", "full name", "paper", "trained on", "SHA-256", "trained by")
    return Table(title, headings, rows, spaced([ran, *_randomness(board)]))


def _randomness(board: Board) -> Iterable[Text]:
    stochastic = names(label for label, row in board.rows.items() if _is_stochastic(row))
    contradicting = names(label for label, row in board.rows.items() if row.contradicts_itself)
    if stochastic:
        yield text("Stochastic: ", *stochastic, ".")
    if contradicting:
        yield text(Strong(("Two passes over the same images differ, undeclared: ", *contradicting, ".")))


def _is_stochastic(row: Row) -> bool:
    return bool(row.newest.facts.get("stochastic"))


def _digest(sha256: str | None) -> Digest | Missing:
    return Digest(sha256) if sha256 else Missing()


def _command(weights: Mapping[str, object] | None) -> Name | Missing:
    return Name(str(weights["command"])) if weights else Missing()


def trained_on(result: Result) -> Text | Missing:
    """Say what the training of a result's defense saw."""
    facts, options = result.facts, result.identity["defense"]["options"]
    knowledge = str(facts.get("training_knowledge", "none"))
    seen = KNOWLEDGE.get(knowledge)
    if knowledge == "attack" and "against" in options:
        seen = f"{options['against']} {options.get('eps', 0):g}"
    weights = facts.get("weights")
    if seen is None:
        return Missing(f"unknown: {knowledge}")
    return text(f"{seen}, {weights['train_images']:,} images" if weights else seen)


def machine(result: Result) -> str:
    """Say what a result was computed on."""
    device, threads = result.environment["device_name"], result.environment["threads"]
    counted = f", {threads} thread{'s' if threads > 1 else ''}" if result.environment["device"] == "cpu" else ""
    return f"{device} ({result.environment['device']}{counted})"


def versions(result: Result) -> str:
    """Say with what a result was computed."""
    installed = result.environment["versions"]
    return ", ".join(f"{name} {installed[name]}" for name in PACKAGES)
