"""Runs a training step in several processes of this machine, one a GPU, as torchrun does.

The processes end with the one that started them. Whichever of them fails, the others are stopped,
and one sentence says why; a run that lost a process goes on at its last checkpoint.
"""

import json
import logging
import os
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import torch
from torch.distributed.elastic.agent.server import api as agent
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException, Std
from torch.distributed.elastic.multiprocessing import api as processes
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from components.core.errors import TrainingError
from components.train.rank import CALL, RESULT
from components.train.settings import HardwareSettings

LOOPBACK = "127.0.0.1"
HANDLED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
"""Signals for which torchrun's agent installs handlers of its own."""


def needs_processes(hardware: HardwareSettings) -> bool:
    """Whether a recipe runs in processes of its own, and this is not one of them yet.

    Args:
        hardware: The recipe's.

    Returns:
        True where `launch` has to be called. DeepSpeed wants torchrun even for one process.
    """
    many = hardware.processes > 1 or hardware.nodes > 1 or hardware.deepspeed != "none"
    return many and "TORCHELASTIC_RUN_ID" not in os.environ


def launch(
    function: str, arguments: Mapping[str, Any], hardware: HardwareSettings
) -> dict[str, float]:
    """Calls a function of `training_step` in the recipe's processes, and waits.

    The first process writes to this one's output; what the others say is dropped, but for errors.

    Args:
        function: Its name.
        arguments: What JSON can hold.
        hardware: The recipe's.

    Returns:
        What the function gave in the first process.

    Raises:
        TrainingError: A process failed (its sentence) or was killed, the machine has too few
            GPUs, or the recipe is for several nodes.
        ChildFailedError: A defect; the message holds the process's traceback.
        KeyboardInterrupt: Ctrl-C came; every process has ended.
        SystemExit: Another signal came; every process has ended.
    """
    _refuse(hardware)
    with tempfile.TemporaryDirectory(prefix="finist-ranks-") as name:
        folder = Path(name)
        call = {"function": function, "arguments": dict(arguments)}
        (folder / CALL).write_text(json.dumps(call), "utf-8")
        with _environment(environment(hardware)), _own_signal_handlers():
            _run(hardware.processes, folder)
        figures: dict[str, float] = json.loads((folder / RESULT).read_text("utf-8"))
        return figures


def _run(count: int, folder: Path) -> None:
    rank = ("-m", "components.train.rank", str(folder), str(os.getpid()))
    for module in (agent, processes):  # of an end they would say less than the sentence does
        logging.getLogger(module.__name__).setLevel(logging.CRITICAL)
    try:
        elastic_launch(_config(count, folder / "logs"), sys.executable)(*rank)
    except ChildFailedError as error:
        explained = _explained(error.failures)
        if explained is None:
            raise
        raise explained from None
    except SignalException as error:
        if error.sigval is signal.SIGINT:
            raise KeyboardInterrupt from None
        sys.exit(128 + error.sigval)


def environment(hardware: HardwareSettings) -> dict[str, str]:
    """Gives the variables that a recipe's processes need beside those of torchrun.

    Args:
        hardware: The recipe's.

    Returns:
        Names and values; what is set already is left as it is.
    """
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    wanted = {"OMP_NUM_THREADS": str(max(1, cores // hardware.processes))}
    cuda = torch.cuda.is_available()
    if hardware.deepspeed != "none":
        wanted["DS_ACCELERATOR"] = "cuda" if cuda else "cpu"
    elif not cuda:
        wanted["ACCELERATE_USE_CPU"] = "true"
    if not cuda:
        wanted["GLOO_SOCKET_IFNAME"] = "lo"  # the host's own name may not resolve in a pod
    return {name: value for name, value in wanted.items() if name not in os.environ}


def _refuse(hardware: HardwareSettings) -> None:
    if hardware.nodes > 1:
        raise TrainingError(
            f"hardware.nodes is {hardware.nodes}: such a run is a TrainJob, which "
            "`python -m components.train trainjob` writes for kubectl."
        )
    gpus = torch.cuda.device_count()
    if 0 < gpus < hardware.processes:
        raise TrainingError(
            f"hardware.processes is {hardware.processes}, but this machine has {gpus} GPUs: lower "
            "it, or take a machine that has them."
        )


def _config(count: int, logs: Path) -> LaunchConfig:
    quiet = {rank: Std.ALL for rank in range(1, count)}
    return LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=count,
        run_id=uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint=f"{LOOPBACK}:0",  # port 0: a free one
        local_addr=LOOPBACK,
        max_restarts=0,
        logs_specs=DefaultLogsSpecs(log_dir=str(logs), redirects=quiet),
    )


def _explained(failures: Mapping[int, ProcessFailure]) -> TrainingError | None:
    """Finds the failure that others followed from: a sentence, else a kill from outside.

    None when there is neither: a defect, or a process that ended without a word.
    """
    for failure in failures.values():
        if failure.exitcode == TrainingError.exit_code and "timestamp" in failure.error_file_data:
            return TrainingError(failure.message)
    for rank, failure in failures.items():  # the first that was seen comes first
        if failure.exitcode < 0 and failure.exitcode != -signal.SIGTERM:
            return TrainingError(
                f"Process {rank} of the training was ended by {failure.signal_name()}, as happens "
                "when memory runs out, and the others were stopped; run the same again, and it "
                "goes on at the last checkpoint."
            )
    return None


@contextmanager
def _environment(added: Mapping[str, str]) -> Iterator[None]:
    """Children inherit this process's variables: torchrun takes no others."""
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]


@contextmanager
def _own_signal_handlers() -> Iterator[None]:
    """Puts back the handlers that torchrun's agent replaces."""
    before = {number: signal.getsignal(number) for number in HANDLED}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
