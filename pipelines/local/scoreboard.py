"""The leaderboard in a terminal: the report's main figures in a few lines."""

from pathlib import Path

from rich.console import Console
from rich.table import Table

from components.core.stats import Interval
from components.evaluate.judging.agreement import caution
from components.evaluate.leaderboard import Leaderboard, Standing, read_board


def show(summary: Path, console: Console) -> None:
    """Prints exact facts, G-Eval and times of each contender, the held-out loss, and the gates.

    Args:
        summary: The leaderboard's `summary.json`.
        console: Where to.

    Raises:
        SchemaError: The file is no leaderboard.
    """
    board = read_board(summary)
    table = Table("contender", "exact facts (95% interval)", "against baseline", box=None)
    if board.agreement:
        table.add_column("G-Eval 1-5 (95% interval)")
    table.add_column("p95")
    for standing in board.standings:
        table.add_row(*_row(standing, judged=board.agreement is not None))
    console.print(table)
    if board.heldout_loss_base is not None and board.heldout_loss_tuned is not None:
        console.print(
            f"held-out loss, nats per answer token: base model {board.heldout_loss_base:.3f}, "
            f"tuned {board.heldout_loss_tuned:.3f}"
        )
    _show_evidence(board, console)
    console.print("gigachat here is an emulator: the prompted base model answers, a weak stand-in.")


def _show_evidence(board: Leaderboard, console: Console) -> None:
    if board.agreement:
        console.print(caution(board.agreement))
    for one in board.benchmarks:
        console.print(f"benchmark {one.note}")
    passed = sum(verdict.passed for verdict in board.gates)
    if board.gates:
        console.print(f"{board.candidate} passed {passed} of {len(board.gates)} gates")


def _row(standing: Standing, judged: bool) -> list[str]:
    measures = standing.measures
    difference = _percent(standing.facts.difference) if standing.facts else "baseline"
    row = [measures.contender, _percent(measures.accuracy), difference]
    if judged:
        overall = measures.geval.overall if measures.geval else None
        row.append(
            f"{overall.mean:.2f} ({overall.low:.2f} to {overall.high:.2f})" if overall else "-"
        )
    return [*row, f"{measures.latency_p95:.1f} s" if measures.latency_p95 is not None else "-"]


def _score(interval: Interval | None) -> str:
    if interval is None:
        return "-"
    return f"{interval.mean:.2f} ({interval.low:.2f} to {interval.high:.2f})"


def _percent(interval: Interval | None) -> str:
    if interval is None:
        return "-"
    return f"{interval.mean:.1%} ({interval.low:.1%} to {interval.high:.1%})"
