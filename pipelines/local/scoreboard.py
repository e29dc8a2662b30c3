"""The leaderboard in a terminal: the report's main figures in a few lines."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table


def show(summary: Path, console: Console) -> None:
    """Prints exact facts, intervals and times of each contender, and the held-out loss.

    Args:
        summary: The leaderboard's `summary.json`.
        console: Where to.
    """
    board = json.loads(summary.read_text(encoding="utf-8"))
    table = Table("contender", "exact facts (95% interval)", "against baseline", "p95", box=None)
    for standing in board["standings"]:
        table.add_row(*_row(standing))
    console.print(table)
    console.print(
        f"held-out loss, nats per answer token: base model {board['heldout_loss_base']:.3f}, "
        f"tuned {board['heldout_loss_tuned']:.3f}"
    )
    console.print("gigachat here is an emulator: the prompted base model answers, a weak stand-in.")


def _row(standing: Mapping[str, Any]) -> tuple[str, str, str, str]:
    measures, comparison = standing["measures"], standing["comparison"]
    facts = _percent(measures["accuracy"])
    difference = _percent(comparison["difference"]) if comparison else "baseline"
    return measures["contender"], facts, difference, f"{measures['latency_p95']:.1f} s"


def _percent(interval: Mapping[str, float]) -> str:
    return f"{interval['mean']:.1%} ({interval['low']:.1%} to {interval['high']:.1%})"
