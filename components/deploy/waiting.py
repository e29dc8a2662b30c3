"""Waits for a model server with a line that says what it is waiting for."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from tqdm import tqdm

from components.core.errors import DeployError


@dataclass(frozen=True)
class Progress:
    """How far a server is."""

    endpoint: str = ""
    """URL of its OpenAI API, once it is ready."""
    message: str = ""
    failed: bool = False
    """It will not come up by waiting."""


def wait(name: str, look: Callable[[], Progress], seconds: float, every: float) -> str:
    """Looks again and again until the server is ready.

    Args:
        name: The server, for the messages.
        look: Says how far it is.
        seconds: How long to wait at most.
        every: Seconds between two looks.

    Returns:
        URL of its OpenAI API, with `/v1`.

    Raises:
        DeployError: It failed, or was not ready in time; with the last reason known.
    """
    started = time.monotonic()
    with tqdm(desc=f"{name}: starting", bar_format="{desc} [{elapsed}]", leave=False) as line:
        while True:
            now = look()
            if now.endpoint:
                return with_prefix(now.endpoint)
            line.set_description_str(f"{name}: {now.message}")
            if now.failed:
                raise DeployError(f"The model server {name} did not come up: {now.message}.")
            if time.monotonic() - started > seconds:
                raise DeployError(
                    f"The model server {name} was not ready in {seconds:.0f} s; "
                    f"last seen: {now.message}."
                )
            time.sleep(every)


def with_prefix(url: str) -> str:
    """Gives the URL of the OpenAI API of a server: its own URL and `/v1`, once.

    Args:
        url: With or without `/v1`.
    """
    return url.rstrip("/").removesuffix("/v1") + "/v1"
