"""What the leaderboard's page says of one board: its summary, and its details, folded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from purification_bench.leaderboard.judging.boards import Board
from purification_bench.leaderboard.results.result import STANDARD
from purification_bench.leaderboard.showing import markdown
from purification_bench.leaderboard.showing.table import Table
from purification_bench.leaderboard.showing.tables import (
    accuracies,
    attackers,
    audits,
    comparisons,
    cost,
    origin,
    rejections,
    standings,
    stochastic,
    strength,
)
from purification_bench.leaderboard.showing.values import Name, text

Picture = tuple[str, str]
"""A caption, and a path relative to the page."""


@dataclass(frozen=True)
class Part:
    """A heading of a board's details, and what is folded below it."""

    title: str
    says: str
    """What a reader finds who unfolds it."""
    tables: Sequence[Table] = ()
    pictures: Sequence[Picture] = ()
    """Above the tables."""

    @property
    def blocks(self) -> list[str]:
        """The part in Markdown."""
        inner = [*(markdown.picture(*each) for each in self.pictures), *(markdown.render(t, 4) for t in self.tables)]
        return [markdown.heading(self.title, level=3), markdown.folded(self.says, *inner)]


@dataclass(frozen=True)
class Section:
    """A board on the page."""

    board: Board
    pictures: Mapping[str, Picture] = field(default_factory=dict)
    """By ``gaps``, ``pareto``, ``strength``, ``curves`` and ``gallery``, those that were drawn."""

    @property
    def is_ranked(self) -> bool:
        """Its rows are compared."""
        return self.board.protocol == STANDARD

    @property
    def title(self) -> str:
        """The heading of the details."""
        return f"Details: {self.board.title}"

    @property
    def summary(self) -> str:
        """What is read first: the table of rows, and the picture of what is claimed beside what is left."""
        if not self.is_ranked:
            rules = text(
                "Attacked and judged under the rules of ",
                Name(f"--protocol {self.board.protocol}"),
                ": these rows enter no worst case, no rank and no audit.",
            )
            return "\n\n".join([markdown.heading(self.board.title, level=3), markdown.prose(rules)])
        drawn = [markdown.picture(*self.pictures["gaps"])] if "gaps" in self.pictures else []
        return "\n\n".join([markdown.render(standings.summary(self.board)), *drawn])

    @property
    def contents(self) -> list[str]:
        """The headings of its details."""
        return [self.title, *(part.title for part in self._parts)]

    @property
    def details(self) -> str:
        """Everything else that there is to say of it."""
        blocks = [block for part in self._parts for block in part.blocks]
        return "\n\n".join([markdown.heading(self.title, level=2), *blocks])

    @cached_property
    def _parts(self) -> list[Part]:
        return list(self._each_part())

    def _each_part(self) -> Iterator[Part]:
        board = self.board
        yield Part(
            f"{board.title}: what stands in each row",
            "Full names, papers, weights and the commands that trained them",
            [origin.provenance(board)],
        )
        if self.is_ranked:
            yield from self._judged()
        yield Part(
            f"{board.title}: attack by attack",
            "Accuracy under every attack at every size, and the options of the attacks",
            [*self._accuracies(), origin.settings(board)],
            self._drawn("curves"),
        )
        if "gallery" in self.pictures:
            title = f"{board.title}: what the purifiers do"
            yield Part(title, "Images before and after purification", (), self._drawn("gallery"))

    def _judged(self) -> Iterator[Part]:
        """Yield what there is to say only of rows that are compared."""
        board = self.board
        seen = [standings.worth(board), attackers.by_threat(board), strength.by_strength(board), attackers.how(board)]
        if any(seen):
            says = "What each kind of attacker leaves, and how they went about it"
            tables = [table for table in seen if table]
            yield Part(f"{board.title}: attackers", says, tables, self._drawn("strength"))
        checks = audits.checks(board)
        if checks:
            says = "Which checks each row failed, and the evidence"
            yield Part(f"{board.title}: audit", says, [checks])
        random, refusing = stochastic.draws(board), rejections.rejections(board)
        others = [comparisons.comparisons(board), random, refusing, cost.latency(board)]
        if any(others):
            says = "Pairs of rows on the same images, random and rejecting defenses, time and memory"
            tables = [table for table in others if table]
            yield Part(f"{board.title}: compared and timed", says, tables, self._drawn("pareto"))

    def _accuracies(self) -> list[Table]:
        board = self.board
        every = (accuracies.by_size(board, attack, threat) for attack, threat in board.attacks)
        each = [table for table in every if table.rows]
        in_a_ball = self.is_ranked and any(column.norm == "linf" for column in board.columns)
        return [accuracies.worst_case(board), *each] if in_a_ball else each

    def _drawn(self, name: str) -> list[Picture]:
        return [self.pictures[name]] if name in self.pictures else []
