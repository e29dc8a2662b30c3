"""The laptop's S3 server: SeaweedFS in one process, on the loopback interface only."""

import shutil
import sys
import tempfile
from pathlib import Path

from pydantic import SecretStr

from components.core.errors import StorageError
from components.core.settings import StoreSettings
from pipelines.local.credentials import Credentials
from pipelines.local.launch import Launch
from pipelines.local.ports import LOOPBACK, free_ports

NAME = "s3"
BUCKET = "finist"
REGION = "us-east-1"
INNER_PORTS = (
    "master.port",
    "master.port.grpc",
    "volume.port",
    "volume.port.grpc",
    "filer.port",
    "filer.port.grpc",
    "s3.port.grpc",
    "admin.port",
    "admin.port.grpc",
)
"""SeaweedFS derives a gRPC port by adding 10,000 unless it is told one: all are told."""
SWITCHED_OFF = (
    "-webdav=false",
    "-admin.ui=false",
    "-master.telemetry=false",
    "-s3.port.iceberg=0",
    "-s3.port.lance=0",
    "-s3.iam=false",
)


def s3_launch(home: Path, port: int, keys: Credentials) -> Launch:
    """Gives the S3 server with its data under `.finist/s3`.

    Secrets go by the environment, never by the command line, where other users could read them.
    The signing keys close SeaweedFS's own HTTP interfaces, which are open by default.

    Args:
        home: The folder of the laptop's state.
        port: Where S3 clients connect.
        keys: The laptop's keys.

    Raises:
        StorageError: The `weed` program is not installed.
    """
    directory = home / "s3"
    directory.mkdir(parents=True, exist_ok=True)
    inner = zip(INNER_PORTS, free_ports(len(INNER_PORTS)), strict=True)
    options = [f"-dir={directory}", f"-ip={LOOPBACK}", f"-ip.bind={LOOPBACK}", f"-bucket={BUCKET}"]
    options += [f"-s3.port={port}", *(f"-{name}={number}" for name, number in inner)]
    signing = keys.storage_signing_key.get_secret_value()
    scopes = ("SIGNING", "SIGNING_READ", "FILER_SIGNING", "FILER_SIGNING_READ")
    return Launch(
        argv=(str(weed()), "-logtostderr=true", "mini", *options, *SWITCHED_OFF),
        url=f"http://{LOOPBACK}:{port}",
        health_url=f"http://{LOOPBACK}:{port}/healthz",
        environment={
            "AWS_ACCESS_KEY_ID": keys.s3_access_key.get_secret_value(),
            "AWS_SECRET_ACCESS_KEY": keys.s3_secret_key.get_secret_value(),
            **{f"WEED_JWT_{scope}_KEY": signing for scope in scopes},
            "GOMEMLIMIT": "512MiB",  # else an upload of 270 MB leaves a heap of 700 MB
        },
        directory=directory,
    )


def weed() -> Path:
    """Finds SeaweedFS's program: beside this Python, else on the PATH.

    Raises:
        StorageError: It is in neither place.
    """
    beside = Path(sys.executable).with_name("weed")
    found = str(beside) if beside.exists() else shutil.which("weed")
    if found is None:
        raise StorageError("the S3 server's program `weed` is missing; run `make install`.")
    return Path(found)


def store_settings(url: str, keys: Credentials) -> StoreSettings:
    """Gives the settings with which components reach the server at `url`."""
    return StoreSettings(
        endpoint_url=url,
        region=REGION,
        bucket=BUCKET,
        access_key=keys.s3_access_key.get_secret_value(),
        secret_key=SecretStr(keys.s3_secret_key.get_secret_value()),
        session_token=None,  # one in the environment belongs to other keys
    )


def store_environment(url: str, keys: Credentials) -> dict[str, str]:
    """Gives the same settings as variables, for programs that we start."""
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_DEFAULT_REGION": REGION,
        "FINIST_BUCKET": BUCKET,
        "AWS_ACCESS_KEY_ID": keys.s3_access_key.get_secret_value(),
        "AWS_SECRET_ACCESS_KEY": keys.s3_secret_key.get_secret_value(),
        "AWS_SESSION_TOKEN": "",
    }


def sweep_sockets(argv: tuple[str, ...]) -> None:
    """Removes the socket files that a stopped server of ours left in the temporary folder."""
    for option in argv:
        name, _, port = option.partition("=")
        if ".port" in name and port.isdigit():
            for left in Path(tempfile.gettempdir()).glob(f"seaweedfs-*-{port}.sock"):
                left.unlink(missing_ok=True)
