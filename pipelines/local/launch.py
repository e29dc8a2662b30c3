"""What it takes to start one service: a value that the supervisor can act on."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from components.gigachat.wire import EMULATOR_MODEL
from pipelines.local.credentials import Credentials
from pipelines.local.ports import LOOPBACK
from pipelines.local.state import REPOSITORY

ADAPTER = "gigachat-adapter"
EMULATOR = "gigachat-emulator"
MAX_REQUESTS = 32
"""Requests that a model server answers at once; further ones wait."""


@dataclass(frozen=True)
class Launch:
    """One program to run.

    Attributes:
        argv: Program and arguments.
        environment: Variables added to the supervisor's own.
        url: Where clients reach the service.
        health_url: Answers 200 when the service is ready.
        directory: Working directory.
        start_seconds: Time to become ready, after which a start counts as failed.
        model_uri: Where the served model came from.
        model: The name under which clients ask for it.
        note: What a person should know of it while it runs.
    """

    argv: tuple[str, ...]
    url: str
    health_url: str
    environment: Mapping[str, str] = field(default_factory=dict)
    directory: Path = REPOSITORY
    start_seconds: float = 60.0
    model_uri: str | None = None
    model: str | None = None
    note: str = ""


def emulator_launch(port: int, upstream_url: str, model: str, keys: Credentials) -> Launch:
    """Gives the emulator of GigaChat whose answers come from `model` at `upstream_url`."""
    url = f"http://{LOOPBACK}:{port}"
    return Launch(
        argv=_service("emulator", port),
        url=url,
        health_url=f"{url}/healthz",
        environment={
            "FINIST_EMULATOR_UPSTREAM_URL": upstream_url,
            "FINIST_EMULATOR_UPSTREAM_MODEL": model,
            "FINIST_EMULATOR_CREDENTIALS": keys.gigachat_key.get_secret_value(),
        },
    )


def adapter_launch(port: int, emulator_url: str | None, keys: Credentials) -> Launch:
    """Gives the GigaChat adapter.

    Args:
        port: Where it listens.
        emulator_url: The emulator that stands for GigaChat; None means GigaChat itself, with the
            `GIGACHAT_*` variables of whoever started the stack.
        keys: The laptop's keys.
    """
    url = f"http://{LOOPBACK}:{port}"
    pointed = {
        "GIGACHAT_BASE_URL": f"{emulator_url}/api/v1",
        "GIGACHAT_AUTH_URL": f"{emulator_url}/api/v2/oauth",
        "GIGACHAT_CREDENTIALS": keys.gigachat_key.get_secret_value(),
        "GIGACHAT_SCOPE": "GIGACHAT_API_PERS",
        # The emulator has no contract; its model server takes so many requests at once.
        "GIGACHAT_MAX_CONNECTIONS": str(MAX_REQUESTS),
    }
    return Launch(
        argv=_service("adapter", port),
        url=f"{url}/v1",
        health_url=f"{url}/healthz",
        environment=pointed if emulator_url else {},
        model=EMULATOR_MODEL if emulator_url else "GigaChat",
    )


def _service(name: str, port: int) -> tuple[str, ...]:
    return (sys.executable, "-m", "components.gigachat", name, "--port", str(port))
