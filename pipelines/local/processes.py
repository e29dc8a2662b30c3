"""Process groups that can be stopped whole, also by somebody who did not start them."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import psutil

from pipelines.local.state import ProcessId

PR_SET_PDEATHSIG = 1
TOLERANCE_SECONDS = 2.0
"""Start times count from the boot, whose own time the kernel moves a little with the clock."""
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def spawn(
    argv: Sequence[str], environment: Mapping[str, str], log: Path, directory: Path
) -> "subprocess.Popen[bytes]":
    """Starts a child as the leader of its own session; on Linux it ends when we do.

    Args:
        argv: Program and arguments.
        environment: The child's whole environment.
        log: File that stdout and stderr are appended to.
        directory: Working directory.
    """
    with log.open("ab") as output:
        return subprocess.Popen(
            list(argv),
            env=dict(environment),
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_end_with_parent,  # noqa: PLW1509 - the supervisor has one thread
        )


def _end_with_parent() -> None:
    if _LIBC is not None:
        _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def identify(pid: int) -> ProcessId | None:
    """Gives a process its identity; None when it is gone already."""
    try:
        return ProcessId(pid=pid, created=psutil.Process(pid).create_time())
    except psutil.NoSuchProcess:
        return None


def is_alive(process: ProcessId) -> bool:
    """Whether that very process runs (a zombie does not)."""
    return _is(process, running=True)


def stop_groups(leaders: Iterable[ProcessId], grace_seconds: float) -> list[int]:
    """Ends whole sessions: SIGTERM to all members, then SIGKILL to those still there.

    Args:
        leaders: The sessions' leaders; those long gone, or whose number belongs to another
            process now, do no harm.
        grace_seconds: Time to end by themselves, for all together.

    Returns:
        Process ids that were ended.
    """
    members = [member for leader in leaders for member in session_members(leader)]
    _send(members, signal.SIGTERM)
    _, alive = psutil.wait_procs(members, timeout=grace_seconds)
    _send(alive, signal.SIGKILL)
    psutil.wait_procs(alive, timeout=grace_seconds)
    return [member.pid for member in members]


def session_members(leader: ProcessId) -> list[psutil.Process]:
    """Lists the live processes of a session, the leader among them.

    The kernel does not give a number to a new process while a session bears it. So if the number
    belongs to another process now, the session is over; and if its leader is dead, what still
    bears the number, was started after the leader and runs as us, is ours.
    """
    if not _is(leader, running=False) and psutil.pid_exists(leader.pid):
        return []
    return [process for process in psutil.process_iter() if _belongs(process, leader)]


def _belongs(process: psutil.Process, leader: ProcessId) -> bool:
    try:
        return (
            os.getsid(process.pid) == leader.pid
            and process.create_time() >= leader.created - TOLERANCE_SECONDS
            and process.uids().real == os.getuid()
            and process.status() != psutil.STATUS_ZOMBIE
        )
    except (psutil.Error, OSError):
        return False


def _is(process: ProcessId, running: bool) -> bool:
    """Whether the number still belongs to that process, as a zombie too unless `running`."""
    try:
        found = psutil.Process(process.pid)
        same = abs(found.create_time() - process.created) <= TOLERANCE_SECONDS
        return same and not (running and found.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _send(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)
