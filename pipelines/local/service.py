"""One supervised service: start, wait for health, try again a few times, then say why not."""

import http.client
import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from components.core.errors import FinistError
from pipelines.local.launch import Launch
from pipelines.local.processes import identify, spawn, stop_groups
from pipelines.local.state import Phase, ProcessId, ServiceState

BACKOFF_SECONDS = (1.0, 4.0)
"""Waits before the second and the third try; there is no fourth."""
STABLE_SECONDS = 60.0
"""After so long a run, a crash counts as the first again."""
GRACE_SECONDS = 5.0
TAIL_LINES = 3


@dataclass(frozen=True)
class Pending:
    """A service that cannot start yet, and what it waits for."""

    reason: str


Prepare = Callable[[], Launch | Pending]


@dataclass
class Service:
    """A service and its process; `step` moves it on and never waits for long.

    Attributes:
        name: Its name in the state file.
        log: File of its output.
        prepare: Gives the launch when everything it needs is there.
    """

    name: str
    log: Path
    prepare: Prepare
    launch: Launch | None = None
    phase: Phase = "waiting"
    message: str = ""
    _process: "subprocess.Popen[bytes] | None" = None
    _identity: ProcessId | None = None
    _failures: int = 0
    _since: float = field(default_factory=time.monotonic)
    """When the present process started, or when the next try is due."""

    def step(self) -> None:
        """Starts, watches or restarts the process, whichever is due."""
        if self.phase == "failed":
            return
        if self._process is None:
            self._start_when_due()
        elif self._process.poll() is not None:
            self._lost(f"ended with code {self._process.returncode}")
        elif self.phase == "starting":
            self._check_health()

    def stop(self) -> None:
        """Ends its whole session and waits until it is gone."""
        if self._identity is not None:
            stop_groups([self._identity], GRACE_SECONDS)
        if self._process is not None:
            self._process.wait()
        self._process = None

    def state(self) -> ServiceState:
        """Gives what the state file says about it."""
        return ServiceState(
            url=self.launch.url if self.launch else "",
            pid=self._identity.pid if self._identity else None,
            created=self._identity.created if self._identity else None,
            log=str(self.log),
            phase=self.phase,
            message=self.message,
            model_uri=self.launch.model_uri if self.launch else None,
            model=self.launch.model if self.launch else None,
        )

    @property
    def identity(self) -> ProcessId | None:
        """The process that leads its session."""
        return self._identity

    def _start_when_due(self) -> None:
        if time.monotonic() < self._since:
            return
        try:
            prepared = self.launch or self.prepare()
        except FinistError as error:
            self._fail(str(error))
            return
        if isinstance(prepared, Pending):
            self.message = prepared.reason
        else:
            self._start(prepared)

    def _start(self, launch: Launch) -> None:
        self.launch = launch
        environment = {**os.environ, **launch.environment}
        self._process = spawn(launch.argv, environment, self.log, launch.directory)
        self._identity = identify(self._process.pid)
        self._since = time.monotonic()
        self.phase, self.message = "starting", "waiting for its health check"

    def _check_health(self) -> None:
        if self.launch and answers(self.launch.health_url):
            self.phase, self.message = "ready", self.launch.note
        elif self.launch and time.monotonic() - self._since > self.launch.start_seconds:
            self._lost(f"was not ready after {self.launch.start_seconds:.0f} s")

    def _lost(self, what: str) -> None:
        """Cleans up after a process that ended or hangs, and plans the next try or gives up."""
        stable = self.phase == "ready" and time.monotonic() - self._since > STABLE_SECONDS
        self.stop()
        self._failures = 1 if stable else self._failures + 1
        reason = f"{what}; {self._tail()}"
        if self._failures > len(BACKOFF_SECONDS):
            self._fail(f"gave up after {self._failures} tries: it {reason}")
            return
        wait = BACKOFF_SECONDS[self._failures - 1]
        self.phase, self.message = "waiting", f"trying again in {wait:.0f} s: it {reason}"
        self._since = time.monotonic() + wait

    def _fail(self, message: str) -> None:
        self.phase, self.message = "failed", message

    def _tail(self) -> str:
        lines = self.log.read_text(encoding="utf-8", errors="replace").split("\n")
        last = [line.strip() for line in lines if line.strip()][-TAIL_LINES:]
        return f"last lines of {self.log}: {' | '.join(last)}"


def answers(url: str) -> bool:
    """Whether a GET gets 200 within a second; proxies are not asked."""
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=1)
    try:
        connection.request("GET", address.path)
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
