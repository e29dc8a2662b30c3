"""Fixtures that several folders share: a real S3 server on this machine."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import settings as hypothesis_settings

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

VLLM = "vllm"
"""The group of tests that start vLLM: one worker runs them, so there is one server at a time."""

# Workers share the cores: a thread that spins while it waits takes the other worker's time. Said
# before anything imports torch; the processes that tests start inherit it.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# How long an example takes says nothing while other work shares the cores.
hypothesis_settings.register_profile("finist", deadline=None)
hypothesis_settings.load_profile("finist")

# A shell's background job ignores Ctrl-C, and so would every process that a test starts and
# interrupts: with a handler here, children begin with the default.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)  # xdist reads the groups in the same hook
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Says to xdist which tests stay together (a file's, and those with vLLM), the longest first.

    Without workers, the order stays as it was.
    """
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(item.path.stem))
    if hasattr(config, "workerinput"):
        items.sort(key=_rank)


def _rank(item: pytest.Item) -> int:
    """Gives 0 to tests with vLLM, 1 to other slow ones, 2 to the rest."""
    group = item.get_closest_marker("xdist_group")
    if group and group.args == (VLLM,):
        return 0
    return 1 if item.get_closest_marker("slow") else 2


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
