"""What a person at the terminal sees: progress with the time left, and a board as a table."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.util import find_spec

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from purification_bench.leaderboard.judging.boards import Board
from purification_bench.leaderboard.results.result import STANDARD, Result
from purification_bench.leaderboard.results.sizes import in_words
from purification_bench.leaderboard.results.store import Store
from purification_bench.leaderboard.showing import terminal
from purification_bench.leaderboard.showing.table import Table
from purification_bench.leaderboard.showing.tables.accuracies import overview
from purification_bench.leaderboard.showing.tables.standings import summary
from purification_bench.leaderboard.showing.wording import written

LEGEND = (
    "Robust: what all attackers leave, who see the purifier or not.\n"
    "Claimed: what those leave who do not know it. Verdict: what the audit finds.\n"
    "Attack by attack, and the names in full: on the page, or here with --full."
)


class RunProgress:
    """A bar over all cells and one for the work in flight; on no terminal, one line for each cell.

    With ``debug``, the calls that led to an error are printed when a cell fails.
    """

    def __init__(self, console: Console, total: int, *, debug: bool = False) -> None:
        self.console = console
        self.debug = debug
        self.total = total
        self._done = 0
        self._told: set[str] = set()
        self._begun = time.monotonic()
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
        )
        self._bars = Progress(*columns, console=console, transient=True, disable=not has_bars(console))
        self._cells = self._bars.add_task("cells", total=total)

    def __enter__(self) -> RunProgress:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    @contextlib.contextmanager
    def task(self, text: str, total: int) -> Iterator[Callable[[int], None]]:
        """Show a bar for one piece of work while it lasts."""
        task = self._bars.add_task(text, total=total)
        try:
            yield lambda steps: self._bars.advance(task, steps)
        finally:
            self._bars.remove_task(task)

    def cell_done(self, result: Result) -> None:
        """Advance the bar over all cells, or print the cell where there is no terminal."""
        self._done += 1
        self._bars.advance(self._cells, 1)
        if not has_bars(self.console):
            threat = result.declared.threat
            attacked = f"{result.attack} {in_words(result.eps)} ({threat.word})" if threat else "clean"
            what = "latency" if result.kind == "latency" else attacked
            cell = f"{result.dataset} {result.classifier} {result.defense} {what}"
            spent = time.monotonic() - self._begun
            said = "" if result.ok else f"  ERROR {self._once(result)}"
            line = f"{self._done}/{self.total}  {spent:.0f} s  {cell}{said}"
            self.console.print(line, markup=False, highlight=False, soft_wrap=True)
        if self.debug and not result.ok:
            self.console.print(result.error, markup=False, highlight=False, soft_wrap=True)

    def _once(self, result: Result) -> str:
        """Return why a cell failed: in full where this reason comes for the first time."""
        cause = f"{result.defense}: {result.reason}"
        if cause in self._told:
            return "as before"
        self._told.add(cause)
        return result.reason


def has_bars(console: Console) -> bool:
    """Say whether bars can be drawn: on a terminal, and in a notebook that has ipywidgets."""
    return console.is_terminal or (console.is_jupyter and find_spec("ipywidgets") is not None)


def warn(warnings: Iterable[str]) -> None:
    """Say on the standard error what a plan leaves out, and why."""
    for warning in warnings:
        print(f"bench: warning: {warning}", file=sys.stderr)


def tell_set_aside(store: Store) -> None:
    """Say on the standard error which stored files could not be read."""
    for path, reason in store.set_aside:
        print(f"bench: set aside {path}: {reason}", file=sys.stderr)


def show_boards(console: Console, boards: Sequence[Board], *, full: bool, ranked: bool = True) -> None:
    """Print each board: what a row is worth and costs; with ``full`` its accuracy under every attack at every size.

    All of it, too, where rows are not compared.
    """
    for board in boards:
        if board.protocol == STANDARD and ranked:
            table = summary(board)
            show(console, table)
            console.print(written(table.note), markup=False, highlight=False, soft_wrap=True)
        if full or board.protocol != STANDARD:
            show_in_pieces(console, overview(board))
    if not full and any(board.protocol == STANDARD for board in boards):
        console.print(LEGEND, soft_wrap=True)


def show_in_pieces(console: Console, table: Table) -> None:
    """Print point estimates, as many tables of the terminal's width as it takes."""
    for piece in terminal.pieces(table, console.width):
        show(console, piece, brief=True)


def show(console: Console, table: Table, *, brief: bool = False) -> None:
    """Print one table; without intervals if ``brief``."""
    console.print(terminal.rendered(table, terminal.BRIEF if brief else terminal.FULL))
