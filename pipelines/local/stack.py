"""The laptop stack as library calls: start, ask for models, wait, stop.

Every function takes the folder of the laptop's state last; left out, it is `.finist` in the
repository or what `FINIST_HOME` says.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from components.core.errors import DeployError, MissingModelError, StorageError
from components.core.settings import StoreSettings
from pipelines.local import inference, s3
from pipelines.local.credentials import load_or_create
from pipelines.local.disk import check_room
from pipelines.local.launch import ADAPTER, EMULATOR
from pipelines.local.ports import claim
from pipelines.local.processes import is_alive, stop_groups
from pipelines.local.state import (
    REPOSITORY,
    Desired,
    ServiceState,
    StackState,
    home_directory,
    read_desired,
    read_state,
    write_desired,
)
from pipelines.local.supervisor import BASELINE

ALL_SERVICES = (s3.NAME, EMULATOR, ADAPTER)
SUPERVISOR_SECONDS = 30.0
STOP_SECONDS = 20.0
POLL_SECONDS = 0.2

Report = Callable[[Mapping[str, str]], None]
"""Is told, by name, what each service that is not ready waits for."""


def start(
    services: Iterable[str] = ALL_SERVICES,
    ports: Mapping[str, int] | None = None,
    home: Path | None = None,
) -> StackState:
    """Starts the supervisor if need be, and asks it for services; returns before they are ready.

    Args:
        services: Names out of `ALL_SERVICES`; those that run already go on. The adapter without
            the emulator speaks to GigaChat itself.
        ports: Ports that somebody chose, by service; the others get free ones.
        home: The folder of the laptop's state.

    Raises:
        PortInUseError: A chosen port is taken.
        DiskFullError: There is no room to work in.
        DeployError: The supervisor did not start.
    """
    home, ports = home or home_directory(), ports or {}
    running = status(home)
    if running is None:
        stop(home)  # clears what a killed supervisor left
    deploy_directory(home).mkdir(parents=True, exist_ok=True)
    check_room(home)
    already = running.services if running else {}
    for name, port in ports.items():
        if name not in already:
            claim(port, name)
    before = read_desired(home)
    names = tuple(dict.fromkeys((*before.services, *services)))
    write_desired(home, Desired(services=names, ports={**before.ports, **ports}))
    return running or _start_supervisor(home)


def stop(home: Path | None = None) -> list[str]:
    """Stops everything, whoever started it, also what a killed supervisor left behind.

    Data (S3, downloaded models, logs) stays; InferenceService files go, as with a cluster.

    Returns:
        Names of the services that ran.
    """
    home = home or home_directory()
    state = read_state(home)
    names = sorted(state.services) if state else []
    if state:
        stop_groups([state.supervisor], STOP_SECONDS)
        leaders = [one.process for one in state.services.values() if one.process]
        stop_groups(leaders, STOP_SECONDS / 4)
    for name in ("state.json", "desired.json"):
        (home / name).unlink(missing_ok=True)
    shutil.rmtree(home / inference.FOLDER, ignore_errors=True)
    return names


def status(home: Path | None = None) -> StackState | None:
    """Gives what runs; None when the stack is down."""
    state = read_state(home or home_directory())
    return state if state and is_alive(state.supervisor) else None


def apply(content: Mapping[str, object], home: Path | None = None) -> str:
    """Asks for the model server of an InferenceService object, new or changed.

    Args:
        content: The object, as `kubectl apply` would get it.
        home: The folder of the laptop's state.

    Returns:
        Its name, for `wait_ready`.

    Raises:
        BadInputError: It is no InferenceService.
    """
    return inference.write(home or home_directory(), content).stem


def add_inference_service(
    name: str, storage_uri: str, arguments: tuple[str, ...] = (), home: Path | None = None
) -> str:
    """Asks for a model server under a name.

    Args:
        name: The object's name, and the model's name for clients unless an argument says else.
        storage_uri: `s3://...` (a published model) or `file:///...` (a checkpoint here).
        arguments: vLLM's arguments.
        home: The folder of the laptop's state.
    """
    return apply(inference.build(name, storage_uri, arguments), home)


def add_baseline(model: Path, home: Path | None = None) -> str:
    """Asks for the prompted base model that answers behind the emulator of GigaChat.

    Args:
        model: Directory of its Hugging Face checkpoint.
        home: The folder of the laptop's state.

    Raises:
        MissingModelError: There is no checkpoint.
    """
    if not (model / "config.json").is_file():
        raise MissingModelError(
            f"no base model at {model} (config.json is missing); give a checkpoint's directory."
        )
    return add_inference_service(BASELINE, model.resolve().as_uri(), home=home)


def remove_inference_service(name: str, home: Path | None = None) -> None:
    """Takes a model server away; one that is not there does no harm."""
    folder = (home or home_directory()) / inference.FOLDER
    (folder / f"{name}.yaml").unlink(missing_ok=True)


def wait_ready(
    names: Iterable[str] | None = None,
    seconds: float = 600.0,
    report: Report | None = None,
    home: Path | None = None,
) -> dict[str, ServiceState]:
    """Waits until services answer.

    Args:
        names: Which; None means all that are asked for.
        seconds: How long at most.
        report: Told about progress at every look, five times a second.
        home: The folder of the laptop's state.

    Returns:
        The services by name.

    Raises:
        DeployError: One gave up (the message says why), the stack went down, or time is up.
    """
    home = home or home_directory()
    wanted = tuple(names) if names is not None else _asked_for(home)
    deadline = time.monotonic() + seconds
    while True:
        waiting, services = _waiting(wanted, home)
        if not waiting:
            return {name: services[name] for name in wanted}
        if report:
            report(waiting)
        if time.monotonic() > deadline:
            reasons = "; ".join(f"{name}: {why}" for name, why in waiting.items())
            raise DeployError(f"not ready after {seconds:.0f} s: {reasons}.")
        time.sleep(POLL_SECONDS)


def service(name: str, home: Path | None = None) -> ServiceState:
    """Gives a service that answers.

    Raises:
        DeployError: The stack is down, or the service is not ready.
    """
    running = status(home)
    found = running.services.get(name) if running else None
    if found is None or found.phase != "ready":
        why = "the stack is down" if running is None else f"{name} does not answer"
        raise DeployError(f"{why}; start it with `finist up`, look with `finist status`.")
    return found


def store_settings(home: Path | None = None) -> StoreSettings:
    """Gives the settings of the running S3 server.

    Raises:
        StorageError: It does not run.
    """
    home = home or home_directory()
    return s3.store_settings(_s3_url(home), load_or_create(home))


def store_environment(home: Path | None = None) -> dict[str, str]:
    """Gives the variables with which another process reaches the running S3 server.

    Raises:
        StorageError: It does not run.
    """
    home = home or home_directory()
    return s3.store_environment(_s3_url(home), load_or_create(home))


def deploy_directory(home: Path | None = None) -> Path:
    """Gives the folder where InferenceService files are followed (`FINIST_DEPLOY_DIRECTORY`)."""
    return (home or home_directory()) / inference.FOLDER


def _s3_url(home: Path) -> str:
    running = status(home)
    found = running.services.get(s3.NAME) if running else None
    if found is None or found.phase != "ready":
        raise StorageError("the S3 server does not run; start it with `finist up`.")
    return found.url


def _asked_for(home: Path) -> tuple[str, ...]:
    files = sorted((home / inference.FOLDER).glob("*.yaml"))
    return (*read_desired(home).services, *(path.stem for path in files))


def _waiting(names: Iterable[str], home: Path) -> tuple[dict[str, str], dict[str, ServiceState]]:
    """Looks which services are not ready yet, and raises when one never will be."""
    running = status(home)
    if running is None:
        log = home / "logs" / "supervisor.log"
        raise DeployError(f"the supervisor is gone; its last words are in {log}.")
    waiting: dict[str, str] = {}
    for name in names:
        found = running.services.get(name)
        if found and found.phase == "failed":
            raise DeployError(f"{name}: {found.message}")
        if found is None or found.phase != "ready":
            waiting[name] = found.message or found.phase if found else "not taken up yet"
    return waiting, running.services


def _start_supervisor(home: Path) -> StackState:
    logs = home / "logs"
    logs.mkdir(exist_ok=True)
    # Training asks glibc for large pads and no trimming; servers would pay for it in memory.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MALLOC_")}
    with (logs / "supervisor.log").open("wb") as log:
        subprocess.run(
            [sys.executable, "-m", "pipelines.local.supervisor", str(home)],
            cwd=REPOSITORY,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            check=True,
        )
    deadline = time.monotonic() + SUPERVISOR_SECONDS
    while time.monotonic() < deadline:
        if (state := status(home)) is not None:
            return state
        time.sleep(POLL_SECONDS / 4)
    raise DeployError(f"the supervisor did not start; see {logs / 'supervisor.log'}.")
