"""The one background process of the laptop stack: it keeps what is desired running.

Run as `python -m pipelines.local.supervisor [home]`; it detaches itself. It holds a lock for its
life, so there is never a second one, and it ends all it started when it ends, for whatever reason;
when it is killed outright, the kernel signals its children and `finist down` clears the rest.
"""

import fcntl
import os
import signal
import sys
import time
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import FrameType

from components.core.errors import BadInputError
from pipelines.local import inference, s3
from pipelines.local.credentials import Credentials, load_or_create
from pipelines.local.dense import servable
from pipelines.local.inference import InferenceService, Status
from pipelines.local.launch import ADAPTER, EMULATOR, Launch, adapter_launch, emulator_launch
from pipelines.local.ports import free_ports
from pipelines.local.processes import identify, stop_groups
from pipelines.local.service import GRACE_SECONDS, Pending, Service
from pipelines.local.state import StackState, home_directory, read_desired, write_state
from pipelines.local.vllm import serve_python, this_cpu, vllm_launch

TICK_SECONDS = 0.2
GAVE_UP = "gave up"
"""How a status message begins when waiting is in vain; the deploy step looks for it."""
BASELINE = "baseline"
"""The InferenceService whose model answers behind the emulator of GigaChat."""


@dataclass
class Supervisor:
    """The services that run, and what they were made from.

    Attributes:
        home: The folder of the laptop's state.
        keys: The laptop's keys.
        services: Running services by name, model servers among them.
        objects: Text of the InferenceService file behind each model server.
        rejected: Why a file was not taken, by name.
    """

    home: Path
    keys: Credentials
    services: dict[str, Service] = field(default_factory=dict)
    objects: dict[str, str] = field(default_factory=dict)
    rejected: dict[str, str] = field(default_factory=dict)
    _published: StackState | None = None
    _statuses: dict[str, Status] = field(default_factory=dict)

    def tick(self) -> None:
        """Takes in what is desired, moves every service on, and says how they do."""
        self._take_services()
        self._take_objects()
        for service in self.services.values():
            service.step()
        self._publish()

    def stop(self) -> None:
        """Ends every service at once and removes what said that they run."""
        identities = [one.identity for one in self.services.values() if one.identity]
        stop_groups(identities, GRACE_SECONDS)
        for service in self.services.values():
            service.stop()
            if service.launch:
                s3.sweep_sockets(service.launch.argv)
        for status in (self.home / inference.FOLDER).glob("*.status.json"):
            status.unlink(missing_ok=True)
        (self.home / "state.json").unlink(missing_ok=True)

    def _take_services(self) -> None:
        desired = read_desired(self.home)
        prepares = {s3.NAME: self._s3, EMULATOR: self._emulator, ADAPTER: self._adapter}
        for name in desired.services:
            if name not in self.services:
                port = desired.ports.get(name)
                self._add(name, partial(prepares[name], port))

    def _take_objects(self) -> None:
        """Compares the InferenceService files with the model servers that run."""
        folder = self.home / inference.FOLDER
        found = inference.read_texts(folder)
        for name in set(self.objects) - set(found):
            self._drop(name)
        for name, text in found.items():
            if self.objects.get(name) != text:
                self._drop(name)
                self.objects[name] = text
                self._serve(name, text, folder / f"{name}.yaml")

    def _serve(self, name: str, text: str, path: Path) -> None:
        try:
            service = inference.parse(text, path)
        except BadInputError as error:
            self.rejected[name] = str(error)
            return
        self._add(name, partial(self._model_server, service))

    def _add(self, name: str, prepare: "partial[Launch | Pending]") -> None:
        log = self.home / "logs" / f"{name}.log"
        log.write_bytes(b"")
        self.services[name] = Service(name, log, prepare)

    def _drop(self, name: str) -> None:
        service = self.services.pop(name, None)
        if service:
            service.stop()
        self.objects.pop(name, None)
        self.rejected.pop(name, None)
        self._statuses.pop(name, None)
        (self.home / inference.FOLDER / f"{name}.status.json").unlink(missing_ok=True)

    def _s3(self, port: int | None) -> Launch:
        return s3.s3_launch(self.home, port or free_ports(1)[0], self.keys)

    def _emulator(self, port: int | None) -> Launch | Pending:
        upstream = self._ready(BASELINE)
        if upstream is None:
            return Pending(f"waiting for {BASELINE}")
        model = upstream.model or BASELINE
        return emulator_launch(port or free_ports(1)[0], upstream.url, model, self.keys)

    def _adapter(self, port: int | None) -> Launch | Pending:
        if EMULATOR not in self.services:
            return adapter_launch(port or free_ports(1)[0], None, self.keys)
        emulator = self._ready(EMULATOR)
        if emulator is None:
            return Pending(f"waiting for {EMULATOR}")
        return adapter_launch(port or free_ports(1)[0], emulator.url, self.keys)

    def _model_server(self, service: InferenceService) -> Launch | Pending:
        settings = None
        if service.storage_uri.startswith("s3://"):
            server = self._ready(s3.NAME)
            if server is None:
                return Pending(f"waiting for {s3.NAME}")
            settings = s3.store_settings(server.url, self.keys)
        python = serve_python()
        cpu = this_cpu()
        model = inference.fetch(service, self.home, settings)
        directory, note = servable(model, cpu, self.home / "models")
        launch = vllm_launch(service, directory, free_ports(1)[0], python, cpu)
        return replace(launch, note=note)

    def _ready(self, name: str) -> Launch | None:
        service = self.services.get(name)
        return service.launch if service and service.phase == "ready" else None

    def _publish(self) -> None:
        """Writes the state file and the status files, when they changed."""
        me = identify(os.getpid())
        state = StackState(
            supervisor_pid=os.getpid(),
            supervisor_created=me.created if me else 0.0,
            services={name: service.state() for name, service in self.services.items()},
        )
        if state != self._published:
            write_state(self.home, state)
            self._published = state
        for name in self.objects:
            status = self._status(name)
            if self._statuses.get(name) != status:
                inference.write_status(self.home, name, status)
                self._statuses[name] = status

    def _status(self, name: str) -> Status:
        if name in self.rejected:
            return Status(ready=False, url="", message=f"{GAVE_UP}: {self.rejected[name]}")
        state = self.services[name].state()
        message = state.message or state.phase
        if state.phase == "failed" and not message.startswith(GAVE_UP):
            message = f"{GAVE_UP}: {message}"
        return Status(ready=state.phase == "ready", url=state.url, message=message)


def main() -> None:
    """Detaches, takes the lock, supervises until SIGTERM or SIGINT, and stops everything."""
    home = Path(sys.argv[1]) if len(sys.argv) > 1 else home_directory()
    (home / "logs").mkdir(parents=True, exist_ok=True)
    if os.fork():
        os._exit(0)  # the caller sees a child that ended well; the grandchild is nobody's child
    os.setsid()
    with (home / "supervisor.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.exit("another supervisor runs already")
        supervise(Supervisor(home, load_or_create(home)))


def supervise(supervisor: Supervisor) -> None:
    """Ticks until a signal asks for the end; ends the services whatever happens."""
    asked_to_stop: list[int] = []

    def note(number: int, _: FrameType | None) -> None:
        asked_to_stop.append(number)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, note)
    try:
        while not asked_to_stop:
            supervisor.tick()
            time.sleep(TICK_SECONDS)
    finally:
        supervisor.stop()


if __name__ == "__main__":
    main()
