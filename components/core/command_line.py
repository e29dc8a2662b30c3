"""The one way in which a command ends: exit code and one sentence on stderr."""

import errno
import signal
import sys
from pathlib import Path

import typer

from components.core.errors import DiskFullError, FinistError

INTERRUPTED = 130
"""Exit code after Ctrl-C: 128 + SIGINT, as shells expect."""


def explain(error: BaseException) -> tuple[int, str] | None:
    """Gives the exit code and the sentence for an error a person can mend.

    Args:
        error: What a command raised.

    Returns:
        `(exit code, sentence)`, or None when the error is a defect whose traceback should show.
    """
    # typer leaves with 130 by itself when Ctrl-C comes, and says nothing.
    left = isinstance(error, SystemExit) and error.code == INTERRUPTED
    if left or isinstance(error, KeyboardInterrupt):
        return INTERRUPTED, "Interrupted; run the same command again to go on."
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        where = error.filename or Path.cwd()
        error = DiskFullError(f"No space left on the disk of {where}; free some and run again.")
    if isinstance(error, FinistError):
        return error.exit_code, str(error)
    return None


def run(app: typer.Typer) -> None:
    """Runs a typer application and leaves the process with Finist's exit codes.

    A SIGTERM ends it as Ctrl-C does, with whatever has to be stopped stopped.

    Args:
        app: The application; its own usage errors keep exit code 2.
    """
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        app(standalone_mode=True)
    except BaseException as error:
        explained = explain(error)
        if explained is None:
            raise
        code, sentence = explained
        print(f"finist: {sentence}", file=sys.stderr)
        sys.exit(code)
