"""Fixtures that several folders share: a real S3 server on this machine."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from components.core import store
from components.core.errors import StorageError
from components.core.settings import StoreSettings
from pipelines.local import s3
from pipelines.local.credentials import load_or_create
from pipelines.local.launch import Launch
from pipelines.local.ports import free_ports

START_SECONDS = 60
STRICT = "-s3.autoCreateBucket=false"
"""Other S3 servers refuse a bucket that is not there, and so must this one."""

# A shell's background job ignores Ctrl-C, and so would every process that a test starts and
# interrupts: with a handler here, children begin with the default.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def s3_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreSettings]:
    """Settings of a running SeaweedFS server with an empty bucket, for the whole test session."""
    home = tmp_path_factory.mktemp("s3")
    keys = load_or_create(home)
    launch = s3.s3_launch(home, free_ports(1)[0], keys)
    settings = s3.store_settings(launch.url, keys)
    with _running(launch, settings, home / "weed.log"):
        yield settings


@contextmanager
def _running(launch: Launch, settings: StoreSettings, log: Path) -> Iterator[None]:
    environment = {**os.environ, **launch.environment}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*launch.argv, STRICT], env=environment, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        _wait_for_bucket(process, settings, log)
        yield
    finally:
        process.kill()  # its data is thrown away; a polite stop waits for idle connections
        process.wait()
        s3.sweep_sockets(launch.argv)


def _wait_for_bucket(process: subprocess.Popen[bytes], settings: StoreSettings, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            return store.ensure_bucket(settings)
        except StorageError:
            time.sleep(0.2)
    pytest.fail(f"the S3 test server did not start:\n{log.read_text(errors='replace')[-2000:]}")
