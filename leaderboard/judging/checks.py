"""What the audit asks of a row's results, check by check, each with its evidence; pure functions.

After the checks that Carlini et al. (2019) and Athalye et al. (2018) ask of every claim of robustness.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from purification_bench.leaderboard.judging.aggregate import accuracy, robust_accuracy, robust_means
from purification_bench.leaderboard.judging.boards import BLIND, INFORMS, ITERATIVE, SEES, Board, Column, Row
from purification_bench.leaderboard.judging.statistics import compare
from purification_bench.leaderboard.results.result import Result

State = Literal["passed", "failed", "not run"]

LEVEL = 0.01
"""Significance on paired images that a margin needs ..."""
POINTS = 0.03
"""... and the points that it needs besides."""
USELESS_GRADIENTS = 0.05
"""Share of images with a zero or non-finite gradient from which on gradients are called useless."""
SINGLE_STEP = ("fgsm", "fgsm_predicted")
GRADIENT_THREATS = ("bpda", "whitebox", "soft", "latent")
CHANCE = 1.2
"""Share of the largest class, times the number of classes: 1.14 on MNIST, 1.0 on Fashion-MNIST."""
UNBROKEN = 0.05
"""Share that an attack that works leaves, at most, of a classifier without a defense."""
PLANTED, BY_CHANCE = 0.25, 0.25
"""Share of planted examples that an attack finds which works, and the share found by chance above which it says
nothing."""
CONTRACT = {
    "differs_by_neighbours": "beside other images",
    "differs_with_gradients": "where gradients are enabled",
    "differs_when_called_again": "when it is called again",
}
"""Probes of the defense, and what each has changed."""


@dataclass(frozen=True)
class Finding:
    """What one check says of one row."""

    check: str
    state: State
    gates: bool
    """A failed check that gates takes the row's rank."""
    evidence: str
    """One sentence with its numbers."""


Rule = Callable[[Board, Row], Finding]


def iterative_beats_single_step(board: Board, row: Row) -> Finding:
    """Expect many steps to find at least what one step finds, with the same gradient."""
    pairs = [
        (one, many)
        for one in _cells(row, GRADIENT_THREATS) if _name(one) in SINGLE_STEP
        for many in _cells(row, GRADIENT_THREATS) if _name(many).startswith("pgd") and _place(many) == _place(one)
    ]  # fmt: skip
    found = [
        f"at {one.eps:g} one step leaves {_share(row, one)}, many steps {_share(row, many)}"
        for one, many in pairs if _weaker(row.cells[many], row.cells[one])
    ]  # fmt: skip
    return _finding("iterative beats single-step", bool(pairs), found, "many steps break what one step breaks")


def success_grows_with_eps(board: Board, row: Row) -> Finding:
    """Expect an attack of many steps to find in a larger ball what it finds in the smaller one."""
    iterative = [column for column in _cells(row, GRADIENT_THREATS) if _name(column).startswith(ITERATIVE)]
    pairs = [
        (small, large)
        for small in iterative for large in iterative
        if (small.attack, small.threat, small.norm) == (large.attack, large.threat, large.norm)
        and small.eps < large.eps
    ]  # fmt: skip
    found = [
        f"{large.attack} ({large.threat}) leaves {_share(row, small)} at {small.eps:g} and {_share(row, large)} at "
        f"{large.eps:g}"
        for small, large in pairs if _weaker(row.cells[large], row.cells[small])
    ]  # fmt: skip
    return _finding("success grows with eps", bool(pairs), found, "no attack finds less in a larger ball")


def the_whole_box_breaks_it(board: Board, row: Row) -> Finding:
    """Expect next to nothing to survive eps 1 under attacks that see the purifier: all images are within reach."""
    columns = [c for c in _cells(row, GRADIENT_THREATS) if c.norm == "linf" and c.eps == 1]
    worst = robust_accuracy(row, columns)
    largest = CHANCE / float(row.newest.facts["num_classes"])
    found = [] if worst is None or worst.low <= largest else [f"{100 * worst.value:.1f} % survive eps 1"]
    others = [c for c in _cells(row, BLIND) if _name(c) == "other_class" and c.eps == 1]
    if found and others:
        found[0] += f", where images of another class leave {_share(row, others[0])}"
    return _finding("the whole box breaks it", worst is not None, found, "next to nothing survives eps 1")


def seeing_helps(board: Board, row: Row) -> Finding:
    """Expect the best attack that sees the purifier not to be beaten by those that do not, or by noise."""
    found, compared = [], False
    for eps in sorted({column.eps for column in _cells(row, GRADIENT_THREATS) if column.norm == "linf"}):
        seeing = [c for c in _cells(row, GRADIENT_THREATS) if c.eps == eps and c.norm == "linf"]
        blind = [c for c in _cells(row, BLIND) if c.eps == eps and c.norm == "linf"]
        compared = compared or bool(blind)
        best = _strongest(row, seeing)
        found += [
            f"at {eps:g} {one.attack} ({one.threat}) leaves {_share(row, one)}, the best attack that sees the purifier "
            f"{_share(row, best)}"
            for one in blind if _weaker(row.cells[best], row.cells[one])
        ]  # fmt: skip
    return _finding("seeing the purifier helps", compared, found, "no blind attack is stronger than those that see it")


def each_gradient_helps(board: Board, row: Row) -> Finding:
    """Expect every threat with a gradient to break what an attacker breaks who does not know the purifier; informs.

    A gradient that does worse misleads, and the row rests on the other threats.
    """
    found, compared = [], False
    iterative = [c for c in _cells(row, SEES) if _name(c).startswith(ITERATIVE)]
    for place in dict.fromkeys(_place(column) for column in iterative):
        blind = [c for c in _cells(row, ("graybox",)) if (c.eps, c.norm) == place[1:]]
        if not blind:
            continue
        compared = True
        seeing = _strongest(row, [c for c in iterative if _place(c) == place])
        rival = _strongest(row, blind)
        if _weaker(row.cells[seeing], row.cells[rival]):
            found.append(
                f"at {seeing.eps:g} {seeing.attack} ({seeing.threat}) leaves {_share(row, seeing)}, {rival.attack} "
                f"without the purifier {_share(row, rival)}"
            )
    passed = "each threat breaks what gray-box breaks"
    return _finding("each gradient helps", compared, found, passed, gates=False)


def gradients_beat_queries(board: Board, row: Row) -> Finding:
    """Expect gradients to find what queries of the same model find."""
    found, compared = [], False
    for column in _cells(row, ("blackbox",)):
        rivals = [
            c for c in _cells(row, GRADIENT_THREATS)
            if (c.eps, c.norm) == (column.eps, column.norm) and _name(c).startswith(ITERATIVE)
        ]  # fmt: skip
        best, queried = robust_means(row, rivals), robust_means(row, [column])
        if best is None or queried is None:
            continue
        compared = True
        n = min(len(best), len(queried))
        if _significant(best[:n], queried[:n]):
            found.append(
                f"at {column.eps:g} {column.attack} leaves {100 * queried[:n].mean():.1f} %, gradients "
                f"{100 * best[:n].mean():.1f} %"
            )
    return _finding("gradients beat queries", compared, found, "no query attack is stronger than the gradient's")


def gradients_exist(board: Board, row: Row) -> Finding:
    """Expect few images whose gradient is zero everywhere, or not finite; gate where there is no other gradient."""
    shares: dict[str, float] = {}
    for column in _cells(row, GRADIENT_THREATS):
        probes = row.cells[column].probes
        if "zero_gradient_share" in probes:
            share = float(probes["zero_gradient_share"]) + float(probes["non_finite_gradient_share"])
            shares[column.threat] = max(shares.get(column.threat, 0.0), share)
    found = [f"{100 * s:.0f} % of images have no {t} gradient" for t, s in shares.items() if s > USELESS_GRADIENTS]
    alone = {column.threat for column in _cells(row, GRADIENT_THREATS)} == {"whitebox"}
    return _finding("gradients exist", bool(shares) and _claims(row), found, "images have gradients", gates=alone)


def attacks_run(board: Board, row: Row) -> Finding:
    """Expect no attack to raise: a defense that declares a gradient must have one, and answer queries."""
    columns = [column for column in row.cells if column.threat not in INFORMS]
    failed = {c.threat: str(row.cells[c].error) for c in columns if not row.cells[c].ok}
    found = [f"{threat}: {error}" for threat, error in failed.items()]
    return _finding("attacks run", bool(columns), found, "no attack raised an error")


def gradient_auditable(board: Board, row: Row) -> Finding:
    """Expect a gradient to audit: a defense that declares none is judged, and has no rank."""
    found = [] if row.newest.facts["differentiable"] else ["it declares that it is not differentiable"]
    return _finding("gradient auditable", True, found, "it declares a gradient")


def keeps_its_contract(board: Board, row: Row) -> Finding:
    """Expect purified pixels to depend on the image alone: not on its neighbours, on who asks, or how often."""
    results = [r for r in (row.clean, *row.cells.values()) if r is not None and r.ok]
    shares = {
        words: max((float(r.probes[key]) for r in results if key in r.probes), default=None)
        for key, words in CONTRACT.items()
    }
    measured = {words: share for words, share in shares.items() if share is not None}
    found = [
        f"{100 * share:.0f} % of images are purified otherwise {words}" for words, share in measured.items() if share
    ]
    return _finding("keeps its contract", bool(measured), found, "pixels depend on the image alone")


def modes_agree(board: Board, row: Row) -> Finding:
    """Expect the same pixels in train mode; informs: batch norm and dropout differ there, and all is judged in eval."""
    results = [r for r in (row.clean, *row.cells.values()) if r is not None and "differs_in_train_mode" in r.probes]
    share = max((float(r.probes["differs_in_train_mode"]) for r in results), default=0.0)
    found = [f"{100 * share:.0f} % of images are purified otherwise in train mode"] if share else []
    return _finding("modes agree", bool(results), found, "train and eval mode give the same pixels", gates=False)


def more_steps_change_little(board: Board, row: Row) -> Finding:
    """Expect twice the steps to break few images more; else the attack has not converged."""
    pairs = [
        (few, many)
        for few in _cells(row, GRADIENT_THREATS) for many in _cells(row, GRADIENT_THREATS)
        if _place(few) == _place(many) and _name(few) == _name(many)
        and _steps(row, few) and _steps(row, many) == 2 * _steps(row, few)
    ]  # fmt: skip
    found = [
        f"{few.attack} ({few.threat}) at {few.eps:g} leaves {_share(row, few)}, twice the steps {_share(row, many)}"
        for few, many in pairs if _weaker(row.cells[few], row.cells[many])
    ]  # fmt: skip
    return _finding("more steps change little", bool(pairs), found, "twice the steps break few more", gates=False)


def noise_hides_nothing(board: Board, row: Row) -> Finding:
    """Expect the attack to find as much with the randomness free as with it frozen; informs."""
    pairs = [
        (free, frozen)
        for frozen in _cells(row, ("fixed-seed",)) for free in _cells(row, ("whitebox",))
        if (free.attack, free.eps) == (frozen.attack, frozen.eps)
    ]  # fmt: skip
    found = [
        f"{free.attack} at {free.eps:g} leaves {_share(row, free)}, with the randomness frozen {_share(row, frozen)}"
        for free, frozen in pairs if _weaker(row.cells[free], row.cells[frozen])
    ]  # fmt: skip
    return _finding("noise hides nothing", bool(pairs), found, "frozen randomness changes little", gates=False)


def objective_improves(board: Board, row: Row) -> Finding:
    """Expect an attack that sees the purifier to raise its own loss on half of the images at least.

    BPDA's gradient is a stand-in's, and the soft choice's that of another function: where they do not climb, that says
    nothing of the defense's own, and informs. So it does where no gradient is declared.
    """
    probed = [c for c in _cells(row, GRADIENT_THREATS) if "objective_improved_share" in row.cells[c].probes]
    columns = [column for column in probed if _name(column).startswith(ITERATIVE)]
    shares = {column: float(row.cells[column].probes["objective_improved_share"]) for column in columns}
    low = {column: share for column, share in shares.items() if share < 0.5}
    found = [
        f"{c.attack} ({c.threat}) at {c.eps:g} raises its loss on {100 * s:.0f} % of images" for c, s in low.items()
    ]
    own = any(column.threat == "whitebox" for column in low or columns) and bool(row.newest.facts["differentiable"])
    ran = bool(columns) and _claims(row)
    return _finding("the objective improves", ran, found, "attacks raise their loss", gates=own)


def planted_examples_are_found(board: Board, row: Row) -> Finding:
    """Expect the true gradient to lead to adversarial examples that are there by construction."""
    shares = {
        column: float(probes["planted_found_share"])
        for column in _cells(row, GRADIENT_THREATS)
        if (probes := row.cells[column].probes).get("planted_by_chance_share", 1) <= BY_CHANCE
    }
    found = [
        f"{c.attack} ({c.threat}) at {c.eps:g} finds {100 * share:.0f} % of the planted examples"
        for c, share in shares.items() if share < PLANTED
    ]  # fmt: skip
    return _finding("planted examples are found", bool(shares), found, "most planted examples are found")


def attacks_work_at_all(board: Board, row: Row) -> Finding:
    """Expect the attacks to break a classifier of standard training without a defense."""
    control = board.control
    columns = [c for c in _cells(control, ("graybox", "bpda", "whitebox")) if c.eps == board.mark] if control else []
    used = {column.attack for column in _cells(row, GRADIENT_THREATS)}
    strong = [c for c in columns if c.attack in used and _name(c).startswith(ITERATIVE)]
    found = [
        f"{column.attack} leaves {_share(control, column)} of a classifier without a defense"
        for column in strong if control and control.cells[column].means.mean() > UNBROKEN
    ]  # fmt: skip
    return _finding("the attacks work at all", bool(strong), found, "without a defense the attacks succeed")


def two_passes_agree(board: Board, row: Row) -> Finding:
    """Expect a defense that declares itself deterministic to be so."""
    results = [r for r in (row.clean, *row.cells.values()) if r is not None and "forward_agreement" in r.probes]
    found = ["two passes over the same images differ"] if row.contradicts_itself else []
    return _finding("two passes agree", bool(results), found, "or the defense says that it is stochastic")


def smallest_margin(row: Row) -> float:
    """Return the least margin between two attacks that can show on as few images as the row's attackers had."""
    fewest = min((row.cells[column].n for column in _cells(row, GRADIENT_THREATS)), default=1)
    return min(1.0, max(POINTS, math.ceil(-math.log2(LEVEL)) / fewest))


RULES: tuple[Rule, ...] = (
    attacks_work_at_all, two_passes_agree, keeps_its_contract, modes_agree, gradient_auditable, attacks_run,
    gradients_exist, objective_improves, planted_examples_are_found, iterative_beats_single_step,
    more_steps_change_little, success_grows_with_eps, the_whole_box_breaks_it, seeing_helps, each_gradient_helps,
    gradients_beat_queries, noise_hides_nothing,
)  # fmt: skip


def _finding(check: str, ran: bool, found: list[str], passed: str, *, gates: bool = True) -> Finding:
    if not ran:
        return Finding(check, "not run", gates, "")
    return Finding(check, "failed" if found else "passed", gates, "; ".join(found) or passed)


def _cells(row: Row, threats: Iterable[str]) -> list[Column]:
    among = tuple(threats)
    return [column for column in row.cells if column.threat in among and _good(row, column)]


def _good(row: Row, column: Column) -> bool:
    result = row.cells[column]
    return result.ok and result.adversarial is not None


def _name(column: Column) -> str:
    return column.attack.partition("[")[0]


def _claims(row: Row) -> bool:
    """Say whether a row is right more often than by chance: a constant image has no gradient, and needs none."""
    clean = accuracy(row.clean)
    return clean is None or clean.value > CHANCE / float(row.newest.facts["num_classes"])


def _steps(row: Row, column: Column) -> int:
    return int(row.cells[column].identity["attack"]["options"].get("steps", 0))


def _place(column: Column) -> tuple[str, float, str]:
    return column.threat, column.eps, column.norm


def _strongest(row: Row, columns: Sequence[Column]) -> Column:
    return min(columns, key=lambda column: row.cells[column].means.mean())


def _weaker(first: Result, second: Result) -> bool:
    """Say whether the first attack leaves significantly more images right than the second, by points that matter."""
    n = min(first.n, second.n)
    return _significant(first.means[:n], second.means[:n])


def _significant(first: NDArray[np.float64], second: NDArray[np.float64]) -> bool:
    comparison = compare(first, second)
    return comparison.difference >= POINTS and comparison.p_value / 2 <= LEVEL


def _share(row: Row, column: Column) -> str:
    estimate = accuracy(row.cells[column])
    return f"{100 * estimate.value:.1f} %" if estimate else "nothing"
