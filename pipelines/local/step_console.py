"""What a pipeline's steps print: all of it into a log, and on the screen one line a step."""

import errno
import io
import logging
import re
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.status import Status

STARTED = re.compile(r"Executing task .*?'([\w-]+)'")
FINISHED = re.compile(r"Task .*?'([\w-]+)'.* finished with status .*?(SUCCESS|FAILURE)")
CACHED = re.compile(r"Task .*?([\w-]+)'? cache hit")
ERROR = re.compile(r"components\.core\.errors\.\w+: (.*)")
DISK_FULL = re.compile(r"OSError: \[Errno 28\] [^:]*:? ?(.*)|No space left on device")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class StepConsole(io.TextIOBase):
    """Stands in for stdout while `kfp.local` runs: logs every line, shows steps and progress.

    Attributes:
        error: The sentence of the last Finist error that a step ended with; empty if none did.
    """

    def __init__(self, log: Path, console: Console) -> None:
        self.error = ""
        self._log_path = log
        # A console without a file of its own would follow stdout, and print into this object.
        self._console = Console(file=console.file, highlight=False)
        self._status = Status("starting", console=self._console)
        self._step, self._began, self._rest = "", time.monotonic(), ""

    def __enter__(self) -> Self:
        self._log_path.parent.mkdir(parents=True, exist_ok=True)
        self._log = self._log_path.open("wb", buffering=0)
        self._status.start()
        # What comes from the cache kfp says through the root logger, outside of its own handler.
        self._handler, root = logging.StreamHandler(self), logging.getLogger()
        self._level = root.level
        root.addHandler(self._handler)
        root.setLevel(logging.INFO)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        logging.getLogger().removeHandler(self._handler)
        logging.getLogger().setLevel(self._level)
        self._status.stop()
        self._log.close()

    def writable(self) -> bool:
        """Says that it can be written to."""
        return True

    def write(self, text: str) -> int:
        """Takes what a step or kfp prints."""
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self._take(COLOUR.sub("", line).rstrip())
        return len(text)

    def _note(self, line: str) -> None:
        """Writes to the log; on a full disk the work goes on without it, as far as it can."""
        try:
            self._log.write(f"{line}\n".encode())
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise

    def _take(self, line: str) -> None:
        self._note(line)
        if found := ERROR.search(line):
            self.error = found[1]
        elif found := DISK_FULL.search(line):
            where = f" of {found[1]}" if found[1] else ""
            self.error = f"No space left on the disk{where}; free some and run again."
        if found := STARTED.search(line):
            self._step, self._began = found[1], time.monotonic()
            self._status.update(f"{self._step} ...")
        elif found := FINISHED.search(line):
            seconds = time.monotonic() - self._began
            mark = "[green]done[/]" if found[2] == "SUCCESS" else "[red]failed[/]"
            self._console.print(f"  {self._step:<18} {mark} {seconds:6.1f} s")
        elif found := CACHED.search(line):
            self._console.print(f"  {found[1]:<18} [cyan]cached[/]")
        elif self._step and (words := line.strip()):
            self._status.update(f"{self._step}: {words[:90]}")
