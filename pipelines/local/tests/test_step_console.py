import contextlib
import io
from pathlib import Path

from rich.console import Console

from pipelines.local.step_console import StepConsole

LINES = """22:43:07.819 - INFO - Executing task \x1b[96m'sft'\x1b[0m
    {'loss': '0.1'}
    components.core.errors.TrainingError: The loss became nan after 3 updates; lower it.
22:43:22.483 - INFO - Task \x1b[96m'sft'\x1b[0m finished with status \x1b[91mFAILURE\x1b[0m
22:43:22.483 - INFO - Task answer-2 cache hit (key=abc); returning cached outputs
"""


def printed(tmp_path: Path, text: str) -> tuple[str, StepConsole]:
    screen = io.StringIO()
    console = Console(file=screen)
    log = tmp_path / "logs" / "build.log"
    with StepConsole(log, console) as steps, contextlib.redirect_stdout(steps):
        print(text, end="")
    return screen.getvalue(), steps


def test_steps_are_shown_with_their_outcome(tmp_path: Path) -> None:
    screen, _ = printed(tmp_path, LINES)
    assert "sft" in screen
    assert "failed" in screen
    assert "answer-2" in screen
    assert "cached" in screen


def test_everything_goes_to_the_log(tmp_path: Path) -> None:
    printed(tmp_path, LINES)
    log = (tmp_path / "logs" / "build.log").read_text()
    assert "{'loss': '0.1'}" in log
    assert "\x1b" not in log


def test_the_error_of_a_step_is_kept_as_its_sentence(tmp_path: Path) -> None:
    _, steps = printed(tmp_path, LINES)
    assert steps.error == "The loss became nan after 3 updates; lower it."


def test_a_full_disk_is_said_in_one_sentence(tmp_path: Path) -> None:
    _, steps = printed(tmp_path, "OSError: [Errno 28] No space left on device: '/data/x'\n")
    assert steps.error == "No space left on the disk of '/data/x'; free some and run again."
