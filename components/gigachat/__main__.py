"""Runs the adapter or the emulator as an HTTP service."""

import logging
import socket
from typing import Annotated

import typer
import uvicorn
from fastapi import FastAPI

from components.core.command_line import run
from components.core.errors import PortInUseError
from components.gigachat import adapter as adapter_service
from components.gigachat import emulator as emulator_service
from components.gigachat.settings import adapter_settings, emulator_settings

app = typer.Typer(no_args_is_help=True, help=__doc__, pretty_exceptions_enable=False)
Port = Annotated[int, typer.Option(min=1, max=65535, help="TCP port to listen on.")]
Host = Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 in a container.")]


@app.command()
def adapter(port: Port = 8080, host: Host = "127.0.0.1") -> None:
    """Serve GigaChat under the OpenAI API.

    Example: GIGACHAT_CREDENTIALS=... python -m components.gigachat adapter --port 8080
    """
    serve(adapter_service.create_app(adapter_settings()), host, port)


@app.command()
def emulator(port: Port = 8081, host: Host = "127.0.0.1") -> None:
    """Serve an emulator of GigaChat's API whose answers come from another model.

    Example: FINIST_EMULATOR_UPSTREAM_URL=http://127.0.0.1:8000/v1
    FINIST_EMULATOR_UPSTREAM_MODEL=base FINIST_EMULATOR_CREDENTIALS=...
    python -m components.gigachat emulator --port 8081
    """
    serve(emulator_service.create_app(emulator_settings()), host, port)


def serve(service: FastAPI, host: str, port: int) -> None:
    """Serves until SIGTERM or SIGINT; requests under way are finished first, for 10 s.

    Raises:
        PortInUseError: Somebody listens there already.
    """
    # The library logs the raw text of a chunk that it cannot parse: customers' words.
    logging.getLogger("gigachat.api.utils").setLevel(logging.CRITICAL)
    config = uvicorn.Config(
        service, log_level="info", access_log=False, timeout_graceful_shutdown=10
    )
    with _listen(host, port) as listener:
        uvicorn.Server(config).run(sockets=[listener])


def _listen(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), backlog=2048)
    except OSError as error:
        raise PortInUseError(
            f"{host}:{port} cannot be listened on ({error.strerror}); choose another --port."
        ) from error


if __name__ == "__main__":
    run(app)
